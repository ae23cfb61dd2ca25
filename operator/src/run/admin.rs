//! The admin port: `/livez`, `/readyz`, `/metrics`. For kubelet and Prometheus.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

use super::metrics::Metrics;
use crate::{clock, limits};

/// How the operator is. Written by watches, read by probes.
#[derive(Debug, Default)]
pub struct Health(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// What stands in the way of the start; `None` once nothing does.
    start: Option<String>,
    watches: BTreeMap<&'static str, Watch>,
}

#[derive(Debug)]
struct Watch {
    last_progress: Instant,
    is_synced: bool,
    failing: Option<String>,
}

impl Health {
    /// Neither ready nor dead.
    pub fn new() -> Self {
        let start = Some("the start".to_owned());
        Self(Mutex::new(State { start, watches: BTreeMap::new() }))
    }

    /// This stands in the way of the start.
    pub fn blocked(&self, obstacle: &str) {
        self.state().start = Some(obstacle.to_owned());
    }

    /// Nothing stands in the way of the start any more.
    pub fn unblocked(&self) {
        let mut state = self.state();
        state.start = None;
        // They could not begin before.
        state.watches.values_mut().for_each(|watch| watch.last_progress = clock::instant());
    }

    /// There is a watch of `resource` from now on: readiness waits for it, and liveness looks after it.
    pub fn register(&self, resource: &'static str) {
        let watch = Watch { last_progress: clock::instant(), is_synced: false, failing: None };
        self.state().watches.insert(resource, watch);
    }

    /// The watch of `resource` did something, be it in vain. Unregistered ones are ignored.
    pub fn progress(&self, resource: &str) {
        if let Some(watch) = self.state().watches.get_mut(resource) {
            watch.last_progress = clock::instant();
        }
    }

    /// The watch of `resource` knows all objects.
    pub fn synced(&self, resource: &str) {
        if let Some(watch) = self.state().watches.get_mut(resource) {
            *watch = Watch { last_progress: clock::instant(), is_synced: true, failing: None };
        }
    }

    /// The watch of `resource` failed and is tried again.
    pub fn failing(&self, resource: &str, error: &str) {
        if let Some(watch) = self.state().watches.get_mut(resource) {
            watch.last_progress = clock::instant();
            watch.failing = Some(error.to_owned());
        }
    }

    /// What readiness waits for; empty when ready. A watch that fails later makes nothing unready: a new operator would
    /// know less than this one.
    pub fn waiting_for(&self) -> Vec<String> {
        let state = self.state();
        let watches = state.watches.iter().filter(|(_, watch)| !watch.is_synced);
        let watches = watches.map(|(resource, watch)| match &watch.failing {
            Some(error) => format!("watch of {resource}: {error}"),
            None => format!("watch of {resource}"),
        });
        let none = state.watches.is_empty().then(|| "the watches".to_owned());
        state.start.clone().or(none).into_iter().chain(watches).collect()
    }

    /// Watches that did nothing for longer than any of them may be quiet: their task hangs. None before they could begin:
    /// to be started again does not make the API server reachable.
    pub fn stuck(&self, now: Instant) -> Vec<&'static str> {
        let state = self.state();
        if state.start.is_some() {
            return Vec::new();
        }
        let is_stuck = |watch: &Watch| now.saturating_duration_since(watch.last_progress) > limits::WATCH_STUCK;
        state.watches.iter().filter(|(_, watch)| is_stuck(watch)).map(|(resource, _)| *resource).collect()
    }

    /// As if the watch of `resource` had done nothing for too long.
    #[cfg(test)]
    pub(super) fn age(&self, resource: &str) {
        let past = clock::instant() - limits::WATCH_STUCK - std::time::Duration::from_secs(1);
        self.state().watches.get_mut(resource).expect("it is registered").last_progress = past;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is whole after every statement, so a poisoned state is a good one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The open admin port. Dropping it closes the port.
pub struct Admin {
    /// Where it listens.
    pub address: SocketAddr,
    _serving: AbortOnDropHandle<()>,
}

/// Opens the admin port.
pub async fn open(address: SocketAddr, health: Arc<Health>, metrics: Metrics) -> io::Result<Admin> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let serving = tokio::spawn(serve(listener, health, metrics));
    Ok(Admin { address, _serving: AbortOnDropHandle::new(serving) })
}

async fn serve(listener: TcpListener, health: Arc<Health>, metrics: Metrics) {
    let permits = Arc::new(Semaphore::new(limits::ADMIN_CONNECTIONS));
    loop {
        let permit = Arc::clone(&permits).acquire_owned().await.expect("nobody closes the semaphore");
        match listener.accept().await {
            Ok((stream, _)) => {
                let (health, metrics) = (Arc::clone(&health), metrics.clone());
                tokio::spawn(async move {
                    let _permit = permit;
                    // Its end, early or not, concerns nobody but the prober, who sees it.
                    let _ = tokio::time::timeout(limits::ADMIN_CONNECTION, connection(stream, health, metrics)).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection on the admin port");
                tokio::time::sleep(limits::ADMIN_ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, health: Arc<Health>, metrics: Metrics) -> hyper::Result<()> {
    let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
        let answer = answer(&health, &metrics, request.method(), request.uri().path());
        async move { Ok::<_, Infallible>(answer) }
    });
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::ADMIN_HEAD)
        .max_buf_size(limits::ADMIN_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn answer(health: &Health, metrics: &Metrics, method: &Method, path: &str) -> Response<Full<Bytes>> {
    if method != Method::GET && method != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    }
    match path {
        "/livez" => verdict("alive", "stuck: watch of ", &health.stuck(clock::instant())),
        "/readyz" => verdict("ready", "waiting for: ", &health.waiting_for()),
        "/metrics" => {
            let mut response = text(StatusCode::OK, metrics.to_text());
            let format = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, format);
            response
        }
        _ => text(StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics\n"),
    }
}

/// One line for each thing that is wrong, or one that says that nothing is.
fn verdict(good: &str, prefix: &str, wrong: &[impl AsRef<str>]) -> Response<Full<Bytes>> {
    if wrong.is_empty() {
        return text(StatusCode::OK, format!("{good}\n"));
    }
    let lines: String = wrong.iter().map(|what| format!("{prefix}{}\n", what.as_ref())).collect();
    text(StatusCode::SERVICE_UNAVAILABLE, lines)
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests;
