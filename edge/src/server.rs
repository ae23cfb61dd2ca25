//! Step 1, accept: viewers' connections, and HTTP over them.
//!
//! One thread for each worker, with a runtime and a listener of its own; the kernel spreads connections over them
//! (`SO_REUSEPORT`), and a connection stays where it was accepted. This module knows HTTP only as far as it concerns
//! connections: what a request means is `handle`'s business.

use std::future::{Future, poll_fn};
use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;

use futures::FutureExt;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use proxima_edge_core::limits;
use proxima_edge_core::request::{ConnectionFacts, Scheme};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};

use crate::edge::{Edge, Worker};
use crate::handle::handle;
use crate::metrics::{Closed, Metrics};

pub mod drain;
mod frames;
pub mod inspect;
pub mod interim;
pub mod interject;
pub mod listener;
pub mod phase;
mod refused;
mod reply;
mod streams;
pub mod timeouts;

use drain::{Connections, Registration};
use frames::Watched;
use inspect::Inspect;
use interim::Interim;
use interject::Interject;
use listener::Listener;
use phase::Phase;
use reply::ServerBody;
use streams::LocalExecutor;
use timeouts::{Guarded, Protocol};

/// Response bytes that one HTTP/2 stream may buffer: more only costs memory, since the socket buffers as well.
const HTTP2_SEND_BUFFER_BYTES: usize = 64 << 10;
/// HTTP/2 streams that a viewer reset before they were accepted; beyond it the connection ends (rapid reset).
const HTTP2_PENDING_RESETS: usize = 20;
/// HTTP/2 streams reset since the viewer broke the protocol; beyond it the connection ends.
const HTTP2_ERROR_RESETS: usize = 1_024;
/// Bytes of HPACK's table for request heads: the default of RFC 9113 § 6.5.2.
const HTTP2_TABLE_BYTES: u32 = 4_096;

// hyper's own bound, which it keeps on the stack; any other number would cost an allocation for each request.
const _: () = assert!(limits::HEADERS == 100, "set http1's max_headers, which costs an allocation for each request");

/// Starts a worker on each listener. Each receiver hears when its worker has no connection left after shutdown, and
/// fails if the worker died.
pub fn start(edge: &Arc<Edge>, listeners: Vec<std::net::TcpListener>) -> io::Result<Vec<oneshot::Receiver<()>>> {
    // A fill runs where its first viewer came, and viewers on other workers read it: so all workers end together. Each
    // holds a receiver for as long as it has viewers.
    let (ended, busy) = watch::channel(());
    let ended = Arc::new(ended);
    listeners
        .into_iter()
        .enumerate()
        .map(|(number, listener)| {
            let (done, finished) = oneshot::channel();
            let edge = Arc::clone(edge);
            let others = Others { ended: Arc::clone(&ended), busy: busy.clone() };
            let runtime = tokio::runtime::Builder::new_current_thread();
            std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
                if let Err(error) = run_worker(runtime, edge, listener, others) {
                    tracing::error!(number, %error, "a worker could not start");
                    return;
                }
                // Nobody listens any more when the process ends first.
                let _ = done.send(());
            })?;
            Ok(finished)
        })
        .collect()
}

fn run_worker(
    mut runtime: tokio::runtime::Builder,
    edge: Arc<Edge>,
    listener: std::net::TcpListener,
    others: Others,
) -> io::Result<()> {
    let runtime = runtime.enable_all().build_local(tokio::runtime::LocalOptions::default())?;
    let cut_off = edge.cut_off.clone();
    runtime.block_on(async {
        let worker = Rc::new(Worker::new(edge));
        let listener = Listener::new(listener)?;
        let serving = async {
            serve(worker, listener).await;
            others.end().await;
        };
        // What is still in progress when the time is up ends with the runtime, and notes that.
        cut_off.run_until_cancelled(serving).await;
        Ok(())
    })
}

/// How workers wait for one another at the end.
struct Others {
    ended: Arc<watch::Sender<()>>,
    busy: watch::Receiver<()>,
}

impl Others {
    /// This worker has no viewers left: waits until none has.
    async fn end(self) {
        drop(self.busy);
        self.ended.closed().await;
    }
}

/// Accepts until shutdown, then waits for the last connection to end. Must run where `spawn_local` works.
pub async fn serve(worker: Rc<Worker>, mut listener: Listener) {
    let connections = Rc::new(Connections::new());
    let shutdown = worker.edge.shutdown.clone();
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = listener.accept(&worker.edge.metrics) => accepted,
        };
        start_connection(&worker, &connections, accepted);
    }
    // Whoever is already in the queue would be reset when the listener is closed.
    while let Some(accepted) = listener.accept(&worker.edge.metrics).now_or_never() {
        start_connection(&worker, &connections, accepted);
    }
    drop(listener);
    connections.drain().await;
}

fn start_connection(worker: &Rc<Worker>, connections: &Rc<Connections>, accepted: listener::Accepted) {
    let worker = Rc::clone(worker);
    let registration = connections.register();
    tokio::task::spawn_local(async move {
        let metrics = Arc::clone(&worker.edge.metrics);
        metrics.connections_accepted.inc();
        metrics.connections.inc();
        let ended = contained(&metrics, connection(worker, registration, accepted)).await;
        metrics.connections.dec();
        metrics.connection_closed(ended);
    });
}

/// A panic ends one connection, never the worker with the others.
async fn contained(metrics: &Metrics, connection: impl Future<Output = Closed>) -> Closed {
    AssertUnwindSafe(connection).catch_unwind().await.unwrap_or_else(|_| {
        metrics.panics.inc();
        tracing::error!("a panic ended a viewer's connection");
        Closed::Panicked
    })
}

/// One connection, from its first byte to its last. The permit is held until then.
async fn connection(worker: Rc<Worker>, registration: Registration, accepted: listener::Accepted) -> Closed {
    let listener::Accepted { stream, peer, permit: _permit } = accepted;
    let phase = Rc::new(Phase::default());
    let mut io = Guarded::new(stream, Rc::clone(&phase));
    let facts = Rc::new(ConnectionFacts { peer, scheme: Scheme::Http });
    let shared = Shared { worker, facts, phase: Rc::clone(&phase) };
    let protocol = match io.detect(&registration).await {
        Ok(Some(protocol)) => protocol,
        Ok(None) => return Closed::Done,
        Err(_) => {
            refused::note(&shared, Protocol::Http1, &Ok(()));
            return phase.ended().unwrap_or(Closed::Failed);
        }
    };
    let served = match protocol {
        Protocol::Http1 => serve_http1(shared.clone(), &registration, io).await,
        Protocol::Http2 => serve_http2(shared.clone(), &registration, io).await,
    };
    refused::note(&shared, protocol, &served);
    match served {
        Ok(()) => phase.ended().unwrap_or(Closed::Done),
        Err(error) => {
            let closed = phase.ended().unwrap_or(Closed::Failed);
            tracing::debug!(%peer, %error, ended = closed.as_str(), "a viewer's connection ended");
            closed
        }
    }
}

/// What all requests of one connection share.
#[derive(Clone)]
struct Shared {
    worker: Rc<Worker>,
    facts: Rc<ConnectionFacts>,
    phase: Rc<Phase>,
}

async fn serve_http1(shared: Shared, registration: &Registration, io: Guarded<TcpStream>) -> hyper::Result<()> {
    let (phase, refuser) = (Rc::clone(&shared.phase), shared.clone());
    let io = Interject::new(io, Rc::clone(&phase), move |hypers: &[u8]| refused::answer(&refuser, hypers));
    let io = Inspect::new(io, phase);
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.half_close(false).header_read_timeout(None).max_buf_size(limits::HEAD_BUFFER_BYTES);
    let http = builder.serve_connection(TokioIo::new(io), service(shared));
    until_end(http, registration, |http| http.graceful_shutdown()).await
}

async fn serve_http2(shared: Shared, registration: &Registration, io: Guarded<TcpStream>) -> hyper::Result<()> {
    shared.phase.multiplexed();
    let executor = LocalExecutor::new(Arc::clone(&shared.worker.edge.metrics));
    let mut builder = hyper::server::conn::http2::Builder::new(executor);
    builder
        .max_concurrent_streams(limits::HTTP2_STREAMS)
        .max_header_list_size(u32::try_from(limits::HEAD_BUFFER_BYTES).expect("64 KiB fit"))
        .max_pending_accept_reset_streams(HTTP2_PENDING_RESETS)
        .max_local_error_reset_streams(HTTP2_ERROR_RESETS)
        .max_send_buf_size(HTTP2_SEND_BUFFER_BYTES)
        .header_table_size(HTTP2_TABLE_BYTES);
    let io = TokioIo::new(Watched::new(io, shared.clone()));
    let (phase, service) = (Rc::clone(&shared.phase), service(shared.clone()));
    let service = service_fn(move |request| {
        phase.streams.borrow_mut().served();
        service.call(request)
    });
    let http = builder.serve_connection(io, service);
    let mut serving = pin!(until_end(http, registration, |http| http.graceful_shutdown()));
    poll_fn(|context| {
        let served = serving.as_mut().poll(context);
        frames::rest(&shared);
        served
    })
    .await
}

/// Drives a connection to its end; when the drain begins it is told once to finish what it has.
async fn until_end<C>(connection: C, registration: &Registration, finish: impl Fn(Pin<&mut C>)) -> hyper::Result<()>
where
    C: Future<Output = hyper::Result<()>>,
{
    let mut connection = pin!(connection);
    let mut told = false;
    poll_fn(|context| {
        if registration.is_draining(context) && !told {
            told = true;
            finish(connection.as_mut());
        }
        connection.as_mut().poll(context)
    })
    .await
}

type ServiceResult = Result<http::Response<ServerBody>, std::convert::Infallible>;

/// What hyper calls for each request of one connection.
fn service(
    shared: Shared,
) -> impl Service<
    http::Request<Incoming>,
    Response = http::Response<ServerBody>,
    Error = std::convert::Infallible,
    Future = impl Future<Output = ServiceResult>,
> {
    service_fn(move |request: http::Request<Incoming>| {
        let (worker, facts, phase) = (Rc::clone(&shared.worker), Rc::clone(&shared.facts), Rc::clone(&shared.phase));
        let in_flight = phase.request_begins(!http_body::Body::is_end_stream(request.body()));
        let interim = Interim::of_current(&phase, request.version());
        async move {
            let mut answering = pin!(handle(worker, facts, request, interim.clone()));
            let response = poll_fn(|context| {
                let answered = answering.as_mut().poll(context);
                if answered.is_pending() {
                    phase.waits_with(context.waker());
                }
                answered
            });
            let response = response.await;
            interim.close();
            Ok(response.map(|body| ServerBody::new(body, in_flight)))
        }
    })
}

#[cfg(test)]
mod tests;
