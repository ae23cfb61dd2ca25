//! Asks an edge whether it is ready, as a kubelet would.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::limits;

/// Whether one incarnation of an edge is ready, told whenever it changes.
#[derive(Debug)]
pub struct ReadinessEvent {
    /// Name of the edge.
    pub edge: String,
    /// Its incarnation.
    pub incarnation: u64,
    /// `/readyz` answered 200.
    pub ready: bool,
}

/// Probes `admin` for ever and tells of changes; an edge begins unready.
pub async fn probe(edge: String, incarnation: u64, admin: SocketAddr, events: mpsc::Sender<ReadinessEvent>) {
    let mut known = false;
    loop {
        let ready = timeout(limits::PROBE_TIMEOUT, is_ready(admin)).await.unwrap_or(Some(false)).unwrap_or(false);
        if ready != known {
            known = ready;
            if events.send(ReadinessEvent { edge: edge.clone(), incarnation, ready }).await.is_err() {
                return;
            }
        }
        sleep(if ready { limits::PROBE_READY } else { limits::PROBE_UNREADY }).await;
    }
}

/// One request on one connection. `None` when there is no answer.
async fn is_ready(admin: SocketAddr) -> Option<bool> {
    let stream = TcpStream::connect(admin).await.ok()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    let request = Request::get("/readyz")
        .header(header::HOST, admin.to_string())
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .ok()?;
    let response = async {
        let status = sender.send_request(request).await.ok()?.status();
        drop(sender);
        Some(status.is_success())
    };
    let (ready, _) = tokio::join!(response, connection);
    ready
}
