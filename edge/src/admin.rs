//! The admin port: `/livez`, `/readyz`, `/metrics`. For kubelet and Prometheus, not for viewers.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::edge::Edge;

/// Connections at once: a few probes and scrapers.
const CONNECTIONS: usize = 32;
/// A connection without a complete request head is closed after this; idle ones too.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// A connection may be used this long altogether.
const CONNECTION_LIFE: Duration = Duration::from_secs(600);
/// Bytes of a request head: probes send little.
const HEAD_BYTES: usize = 8 << 10;
/// After an error of accepting nothing is accepted for this long.
const BACK_OFF: Duration = Duration::from_millis(50);

/// Answers until the process ends; also while it drains, so that probes see why.
pub async fn serve(edge: Arc<Edge>, listener: TcpListener) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let permit = Arc::clone(&permits).acquire_owned().await.expect("nobody closes the semaphore");
        match listener.accept().await {
            Ok((stream, _)) => {
                let edge = Arc::clone(&edge);
                tokio::spawn(async move {
                    let _permit = permit;
                    // Its end, early or not, concerns nobody but the prober, who sees it.
                    let _ = tokio::time::timeout(CONNECTION_LIFE, connection(edge, stream)).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection on the admin port");
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}

async fn connection(edge: Arc<Edge>, stream: TcpStream) -> hyper::Result<()> {
    let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
        let edge = Arc::clone(&edge);
        async move {
            if request.uri().path() == "/metrics" {
                // The store measures itself only when it is maintained.
                edge.store.maintain().await;
                // Who was cut may have held less than it seemed, and since then nothing may have been stored.
                edge.held.relieve(edge.store.capacity());
            }
            Ok::<_, Infallible>(answer(&edge, request.method(), request.uri().path()))
        }
    });
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn answer(edge: &Edge, method: &Method, path: &str) -> Response<Full<Bytes>> {
    if method != Method::GET && method != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    }
    match path {
        "/livez" => text(StatusCode::OK, "alive\n"),
        "/readyz" => {
            let readiness = edge.plans.readiness(edge.shutdown.is_cancelled());
            let status = if readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            text(status, format!("{}\n", readiness.as_str()))
        }
        "/metrics" => {
            edge.plans.readiness(edge.shutdown.is_cancelled());
            let mut response = text(StatusCode::OK, edge.metrics.to_text());
            let format = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, format);
            response
        }
        _ => text(StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics\n"),
    }
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests;
