//! Cleartext HTTP/2 with prior knowledge.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::wait::within;

/// One HTTP/2 connection.
#[derive(Clone)]
pub struct H2c {
    sender: SendRequest<Full<Bytes>>,
}

impl H2c {
    /// Connects.
    pub async fn connect(to: SocketAddr) -> Self {
        let tcp = TcpStream::connect(to).await.expect("the edge accepts connections");
        let handshake = handshake(TokioExecutor::new(), TokioIo::new(tcp));
        let (sender, connection) = within("a handshake", handshake).await.expect("the edge speaks HTTP/2");
        tokio::spawn(connection);
        Self { sender }
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&mut self, request: Request<Bytes>) -> Result<Response<Bytes>, hyper::Error> {
        let response = within("an answer", self.sender.send_request(request.map(Full::new))).await?;
        let (head, body) = response.into_parts();
        let body = within("a body", body.collect()).await?.to_bytes();
        Ok(Response::from_parts(head, body))
    }

    /// GET and its answer.
    pub async fn get(&mut self, path: &str) -> Response<Bytes> {
        let request = Request::get(format!("http://site.test{path}")).body(Bytes::new()).expect("a request");
        self.send(request).await.expect("an answer")
    }
}
