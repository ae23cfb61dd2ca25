//! Connections to one origin that are kept for the next request.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http1::SendRequest;
use proxima_edge_core::limits;
use proxima_edge_core::origin_request::OriginRequest;
use proxima_edge_core::outcome::Reason;
use proxima_edge_core::plan::Origin;
use proxima_edge_core::request::Scheme;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::body::Upload;
use super::{OriginError, RequestBody};
use crate::metrics::Metrics;

/// One connection's sending half.
pub(super) type Sender = SendRequest<RequestBody>;

/// What two requests must have in common to share a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PoolKey {
    distribution: String,
    origin: String,
    host: String,
    port: u16,
    https: bool,
    tls_name: Option<String>,
    /// Which private authorities may have vouched for the server.
    trust: Option<[u8; 32]>,
}

impl PoolKey {
    pub(super) fn new(distribution: &str, origin: &Origin, request: &OriginRequest) -> Self {
        let https = request.scheme == Scheme::Https;
        let sent_host = || request.host.to_str().unwrap_or_default().to_owned();
        Self {
            distribution: distribution.to_owned(),
            origin: origin.name.clone(),
            host: origin.connect_host.clone(),
            port: origin.connect_port.unwrap_or(if https { origin.https_port } else { origin.http_port }),
            https,
            tls_name: https.then(|| origin.tls_server_name.clone().unwrap_or_else(sent_host)),
            trust: origin.ca_bundle.as_ref().filter(|_| https).map(|bundle| bundle.digest),
        }
    }
}

/// Connections of one kind.
pub(super) struct Pool {
    permits: Arc<Semaphore>,
    waiting: Cell<usize>,
    idle: RefCell<VecDeque<Idle>>,
    /// A task that closes expired connections is at work.
    reaping: Cell<bool>,
    metrics: Arc<Metrics>,
}

struct Idle {
    sender: Sender,
    expires: Instant,
}

impl Pool {
    pub(super) fn new(metrics: &Arc<Metrics>) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(limits::ORIGIN_CONNECTIONS)),
            waiting: Cell::new(0),
            idle: RefCell::default(),
            reaping: Cell::new(false),
            metrics: Arc::clone(metrics),
        }
    }

    /// A place among the connections of this origin. Waits in a bounded queue for a bounded time.
    pub(super) async fn acquire(&self, origin: &str) -> Result<OwnedSemaphorePermit, OriginError> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Ok(permit);
        }
        let busy = |why: &str| OriginError::new(Reason::OriginBusy, format!("origin {origin}: {why}"));
        if self.waiting.get() >= limits::ORIGIN_QUEUE {
            return Err(busy("the queue for a connection is full"));
        }
        let _place = Waiting::begin(&self.waiting);
        match tokio::time::timeout(limits::ORIGIN_QUEUE_WAIT, Arc::clone(&self.permits).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(busy("no connection became free in time")),
        }
    }

    /// A connection that is idle and alive, the most recently used first.
    pub(super) async fn checkout(&self) -> Option<Sender> {
        loop {
            let Idle { mut sender, expires } = self.idle.borrow_mut().pop_back()?;
            if Instant::now() >= expires || sender.is_closed() {
                continue;
            }
            // Just after a body's last byte hyper needs one more poll of the connection until it is ready. An origin that
            // does not read may keep it busy for longer.
            let ready = tokio::time::timeout(limits::ORIGIN_READY_WAIT, sender.ready()).await;
            if matches!(ready, Ok(Ok(()))) {
                return Some(sender);
            }
        }
    }

    /// No idle connection, and none in use.
    pub(super) fn is_unused(&self) -> bool {
        self.idle.borrow().is_empty() && self.permits.available_permits() == limits::ORIGIN_CONNECTIONS
    }

    fn put_back(self: &Rc<Self>, sender: Sender, keep_alive: Duration) {
        if sender.is_closed() {
            return;
        }
        let expires = Instant::now() + keep_alive;
        let mut idle = self.idle.borrow_mut();
        if idle.len() >= limits::ORIGIN_IDLE_CONNECTIONS {
            idle.pop_front();
        }
        idle.push_back(Idle { sender, expires });
        if !self.reaping.replace(true) {
            tokio::task::spawn_local(close_expired(Rc::clone(self)));
        }
    }
}

/// Closes idle connections when their time is up. Lives as long as the pool has any.
async fn close_expired(pool: Rc<Pool>) {
    loop {
        let Some(next) = pool.idle.borrow().iter().map(|idle| idle.expires).min() else {
            pool.reaping.set(false);
            return;
        };
        tokio::time::sleep_until(next).await;
        let now = Instant::now();
        pool.idle.borrow_mut().retain(|idle| idle.expires > now && !idle.sender.is_closed());
    }
}

/// Counts one waiting request for as long as it lives.
struct Waiting<'a>(&'a Cell<usize>);

impl<'a> Waiting<'a> {
    fn begin(count: &'a Cell<usize>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// A connection in use. Given back when the response is complete; dropped, it closes the connection.
pub(super) struct Lease {
    sender: Option<Sender>,
    /// The request's body, where it has one: until it has passed, the connection is not free.
    upload: Option<Rc<Upload>>,
    pool: Rc<Pool>,
    keep_alive: Duration,
    _permit: OwnedSemaphorePermit,
}

impl Lease {
    pub(super) fn new(
        sender: Sender,
        upload: Option<Rc<Upload>>,
        pool: &Rc<Pool>,
        permit: OwnedSemaphorePermit,
        keep_alive: Duration,
    ) -> Self {
        pool.metrics.origin_connections.inc();
        Self { sender: Some(sender), upload, pool: Rc::clone(pool), keep_alive, _permit: permit }
    }

    /// The response is complete: keep the connection for the next request, unless the request is still on its way.
    pub(super) fn give_back(mut self) {
        if self.upload.as_ref().is_some_and(|upload| !upload.is_complete()) {
            return;
        }
        if let Some(sender) = self.sender.take() {
            self.pool.put_back(sender, self.keep_alive);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // The permit goes with the lease, so the connection has to end too, and with it whatever is still uploaded.
        if let Some(upload) = &self.upload {
            upload.abandon();
        }
        self.pool.metrics.origin_connections.dec();
    }
}
