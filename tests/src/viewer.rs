//! Viewers: one connection each, in plain bytes.

use std::net::SocketAddr;

use futures::future::join_all;
use tokio::task::JoinHandle;

use crate::http1::{Body, Head, Wire};

/// One viewer's connection.
pub struct Viewer {
    /// The connection, to read an answer piece by piece.
    pub wire: Wire,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// Its head.
    pub head: Head,
    /// Its body, perhaps cut short.
    pub body: Body,
}

impl Response {
    /// Status code.
    pub fn status(&self) -> u16 {
        self.head.status()
    }

    /// `X-Cache`, or nothing.
    pub fn x_cache(&self) -> &str {
        self.head.field("x-cache").unwrap_or_default()
    }

    /// `X-Proxima-Reason`, or nothing.
    pub fn reason(&self) -> &str {
        self.head.field("x-proxima-reason").unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body.bytes).into_owned()
    }

    /// Panics unless this is a complete 200 with that body and that word in `X-Cache`.
    #[track_caller]
    pub fn expect(&self, x_cache: &str, body: &str) {
        let seen = (self.status(), self.x_cache(), self.text(), self.body.complete);
        assert_eq!(seen, (200, &*format!("{x_cache} from proxima"), body.to_owned(), true), "{}", self.head.raw);
    }
}

impl Viewer {
    /// Connects.
    pub async fn connect(to: SocketAddr) -> Self {
        Self { wire: Wire::connect(to).await.expect("the edge accepts connections") }
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.wire.write(bytes).await;
    }

    /// Sends a GET with more fields, each ending in CRLF.
    pub async fn send_get(&mut self, path: &str, fields: &str) {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: site.test\r\n{fields}\r\n")).await;
    }

    /// Reads a response head.
    pub async fn head(&mut self) -> Head {
        self.wire.head().await.expect("an answer, not the end of the connection")
    }

    /// Reads the answer to a request with `method`, past interim responses.
    pub async fn response(&mut self, method: &str) -> Response {
        let mut head = self.head().await;
        while (100..200).contains(&head.status()) {
            head = self.head().await;
        }
        let body = self.wire.body(head.response_framing(method)).await;
        Response { head, body }
    }

    /// GET and its answer.
    pub async fn get(&mut self, path: &str) -> Response {
        self.send_get(path, "").await;
        self.response("GET").await
    }
}

/// GET on a connection of its own.
pub async fn get(edge: SocketAddr, path: &str) -> Response {
    get_with(edge, path, "").await
}

/// GET with more fields, each ending in CRLF, on a connection of its own.
pub async fn get_with(edge: SocketAddr, path: &str, fields: &str) -> Response {
    let mut viewer = Viewer::connect(edge).await;
    viewer.send_get(path, fields).await;
    viewer.response("GET").await
}

/// GETs of one path at the same time, each on a connection of its own that stays open until the answer is there.
pub struct Crowd(Vec<JoinHandle<Response>>);

impl Crowd {
    /// Starts this many viewers.
    pub fn asks(edge: SocketAddr, count: usize, path: &'static str) -> Self {
        Self((0..count).map(|_| tokio::spawn(get(edge, path))).collect())
    }

    /// What they got.
    pub async fn answers(self) -> Vec<Response> {
        join_all(self.0).await.into_iter().map(|joined| joined.expect("a viewer gets an answer")).collect()
    }
}

/// Any request without a body, on a connection of its own.
pub async fn request(edge: SocketAddr, method: &str, path: &str, fields: &str) -> Response {
    let mut viewer = Viewer::connect(edge).await;
    viewer.send(format!("{method} {path} HTTP/1.1\r\nHost: site.test\r\n{fields}\r\n")).await;
    viewer.response(method).await
}

/// Any bytes as a request, on a connection of its own; read as the answer to a GET.
pub async fn raw(edge: SocketAddr, bytes: impl AsRef<[u8]>) -> Response {
    let mut viewer = Viewer::connect(edge).await;
    viewer.send(bytes).await;
    viewer.response("GET").await
}
