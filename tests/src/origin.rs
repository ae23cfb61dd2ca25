//! An origin whose every step a test decides.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use crate::gate::Gate;
use crate::http1::{Body, Head, Wire};

type Handler = dyn Fn(Exchange) -> Pin<Box<dyn Future<Output = Option<Exchange>> + Send>> + Send + Sync;

/// An HTTP/1.1 server on an ephemeral port of 127.0.0.1. Ends when dropped, with all its connections.
pub struct Origin {
    /// Where it listens.
    pub address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    task: AbortHandle,
}

#[derive(Default)]
struct Seen {
    heads: Vec<Head>,
    connections: usize,
    in_progress: usize,
    most_in_progress: usize,
}

impl Origin {
    /// Calls `handler` for each request. It answers by writing to the [`Exchange`]; returning it keeps the connection for
    /// the next request, returning `None` (it was dropped) closes it.
    pub async fn start<F, R>(handler: F) -> Self
    where
        F: Fn(Exchange) -> R + Send + Sync + 'static,
        R: Future<Output = Option<Exchange>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let seen = Arc::<Mutex<Seen>>::default();
        let handler: Arc<Handler> = Arc::new(move |exchange| Box::pin(handler(exchange)));
        let task = tokio::spawn(accept(listener, Arc::clone(&seen), handler)).abort_handle();
        Self { address, seen, task }
    }

    /// Answers every request with what `answer` makes of its head.
    pub async fn answering(answer: impl Fn(&Head) -> Reply + Send + Sync + 'static) -> Self {
        let answer = Arc::new(answer);
        Self::start(move |exchange: Exchange| {
            let reply = answer(&exchange.head);
            async move { exchange.reply(reply).await }
        })
        .await
    }

    /// The same, but only after it has passed `gate`.
    pub async fn gated(gate: &Gate, answer: impl Fn(&Head) -> Reply + Send + Sync + 'static) -> Self {
        let (gate, answer) = (gate.clone(), Arc::new(answer));
        Self::start(move |exchange: Exchange| {
            let (gate, reply) = (gate.clone(), answer(&exchange.head));
            async move {
                gate.pass().await;
                exchange.reply(reply).await
            }
        })
        .await
    }

    /// Heads of all requests so far, in order of arrival.
    pub fn heads(&self) -> Vec<Head> {
        self.seen.lock().unwrap().heads.clone()
    }

    /// How many requests have arrived.
    pub fn requests(&self) -> usize {
        self.seen.lock().unwrap().heads.len()
    }

    /// How many requests have arrived for a target.
    pub fn requests_for(&self, target: &str) -> usize {
        self.seen.lock().unwrap().heads.iter().filter(|head| head.target() == target).count()
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }

    /// How many requests were in progress at once, at most.
    pub fn most_in_progress(&self) -> usize {
        self.seen.lock().unwrap().most_in_progress
    }

    /// How many requests are in progress.
    pub fn in_progress(&self) -> usize {
        self.seen.lock().unwrap().in_progress
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, seen: Arc<Mutex<Seen>>, handler: Arc<Handler>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((tcp, _)) = listener.accept().await else { continue };
        seen.lock().unwrap().connections += 1;
        connections.spawn(converse(tcp, Arc::clone(&seen), Arc::clone(&handler)));
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(tcp: TcpStream, seen: Arc<Mutex<Seen>>, handler: Arc<Handler>) {
    let mut wire = Wire::new(tcp);
    // An idle connection may outlive the patience of a read: its end is decided by the edge.
    while wire.readable().await {
        let Some(head) = wire.head().await else { return };
        let in_progress = InProgress::enter(&seen, &head);
        let exchange = Exchange { head, body_read: false, wire, in_progress };
        match handler(exchange).await {
            Some(exchange) => wire = exchange.wire,
            None => return,
        }
    }
}

/// Counts a request until it is answered.
struct InProgress(Arc<Mutex<Seen>>);

impl InProgress {
    fn enter(seen: &Arc<Mutex<Seen>>, head: &Head) -> Self {
        let mut locked = seen.lock().unwrap();
        locked.heads.push(head.clone());
        locked.in_progress += 1;
        locked.most_in_progress = locked.most_in_progress.max(locked.in_progress);
        Self(Arc::clone(seen))
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.lock().unwrap().in_progress -= 1;
    }
}

/// One request at an [`Origin`], and the connection to answer on.
pub struct Exchange {
    /// Head of the request.
    pub head: Head,
    /// The connection, for answers that [`Exchange::reply`] would not write.
    pub wire: Wire,
    body_read: bool,
    #[expect(dead_code, reason = "held for its Drop")]
    in_progress: InProgress,
}

impl Exchange {
    /// Reads the request's body.
    pub async fn request_body(&mut self) -> Body {
        self.body_read = true;
        self.wire.body(self.head.request_framing()).await
    }

    /// Writes bytes; whether the peer is gone is of no interest to an origin.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.wire.write(bytes).await;
    }

    /// Writes one chunk of a chunked body; an empty one ends it.
    pub async fn chunk(&mut self, data: impl AsRef<[u8]>) {
        let data = data.as_ref();
        let mut framed = format!("{:x}\r\n", data.len()).into_bytes();
        framed.extend_from_slice(data);
        framed.extend_from_slice(b"\r\n");
        self.write(framed).await;
    }

    /// Answers properly and keeps the connection.
    pub async fn reply(mut self, reply: Reply) -> Option<Self> {
        if !self.body_read {
            self.request_body().await;
        }
        let head_only = self.head.method() == "HEAD";
        let bytes = reply.to_bytes(head_only);
        self.wire.write(bytes).await.then_some(self)
    }

    /// Ends the connection with a reset.
    pub fn reset(self) -> Option<Self> {
        self.wire.reset();
        None
    }

    /// Waits until the edge ends the connection.
    pub async fn abandoned(mut self) -> Option<Self> {
        self.wire.ended().await;
        None
    }
}

/// A proper response.
#[derive(Clone, Debug)]
pub struct Reply {
    status: u16,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Reply {
    /// 200 with a body and no freshness.
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::status(200, body)
    }

    /// A status with a body.
    pub fn status(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, fields: Vec::new(), body: body.into() }
    }

    /// 200 that may be stored for an hour.
    pub fn fresh(body: impl Into<Vec<u8>>) -> Self {
        Self::ok(body).field("Cache-Control", "max-age=3600")
    }

    /// Adds a field.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl Into<String>) -> Self {
        self.fields.push((name.to_owned(), value.into()));
        self
    }

    fn to_bytes(&self, head_only: bool) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {} Status\r\n", self.status);
        for (name, value) in &self.fields {
            text += &format!("{name}: {value}\r\n");
        }
        if !matches!(self.status, 204 | 304) {
            text += &format!("Content-Length: {}\r\n", self.body.len());
        }
        let mut bytes = (text + "\r\n").into_bytes();
        if !head_only {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

/// A port that refuses connections for as long as this lives: bound, so that nobody else gets it, and not listening.
pub struct Refusing {
    /// The port.
    pub address: SocketAddr,
    #[expect(dead_code, reason = "holds the port")]
    socket: TcpSocket,
}

impl Refusing {
    /// Takes a port.
    pub fn bind() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket can be made");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a loopback port is free");
        Self { address: socket.local_addr().expect("a bound socket has an address"), socket }
    }
}

/// A listener whose queue is full, so that a further connection is neither accepted nor refused.
pub struct Saturated {
    /// The port.
    pub address: SocketAddr,
    #[expect(dead_code, reason = "holds the port")]
    listener: TcpListener,
    #[expect(dead_code, reason = "fill the queue")]
    queued: Vec<TcpStream>,
}

impl Saturated {
    /// Listens with the shortest queue and fills it.
    pub async fn listen() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket can be made");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a loopback port is free");
        let listener = socket.listen(1).expect("a bound socket can listen");
        let address = listener.local_addr().expect("a bound socket has an address");
        let mut queued = Vec::new();
        // Linux answers a connection while the queue has room and drops the request afterwards: the first connection
        // that is not made at once shows that the queue is full.
        let soon = std::time::Duration::from_millis(300);
        while let Ok(connected) = tokio::time::timeout(soon, TcpStream::connect(address)).await {
            queued.push(connected.expect("loopback connects"));
            assert!(queued.len() < 64, "the queue never fills");
        }
        Self { address, listener, queued }
    }
}
