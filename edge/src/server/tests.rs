use std::num::NonZeroUsize;

use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioExecutor;
use proxima_edge_core::timestamp::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::LocalSet;

use super::*;
use crate::clock::Clock;
use crate::plan_source::PlanSource;
use crate::process::edge_for_tests;

/// Runs `viewers` against one worker of an edge without a configuration, shuts down, and waits for the worker to end.
async fn with_worker<F>(viewers: impl FnOnce(Arc<Edge>, std::net::SocketAddr) -> F)
where
    F: Future<Output = ()>,
{
    let (clock, metrics) = (Clock::manual(Timestamp::from_millis(1_000)), Arc::new(Metrics::new()));
    let nowhere = std::path::Path::new("/nonexistent");
    let plans = PlanSource::open(nowhere, nowhere, clock.clone(), Arc::clone(&metrics));
    let edge = Arc::new(edge_for_tests(plans, clock, metrics));
    let local = LocalSet::new();
    local
        .run_until(async {
            let address = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
            let listener = listener::bind_all(address, NonZeroUsize::MIN).unwrap().remove(0);
            let address = listener.local_addr().unwrap();
            let worker = Rc::new(Worker::new(Arc::clone(&edge)));
            let serving = tokio::task::spawn_local(serve(worker, Listener::new(listener).unwrap()));
            viewers(Arc::clone(&edge), address).await;
            edge.shutdown.cancel();
            serving.await.unwrap();
        })
        .await;
}

async fn read_response(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"</html>\n") {
        let mut chunk = [0; 1_024];
        let length = stream.read(&mut chunk).await.unwrap();
        assert!(length > 0, "closed after {:?}", String::from_utf8_lossy(&text));
        text.extend_from_slice(&chunk[..length]);
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn without_a_configuration_every_request_is_503_and_the_connection_goes_on() {
    with_worker(async |edge: Arc<Edge>, address| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        for _ in 0..2 {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
            let response = read_response(&mut stream).await;
            assert!(response.starts_with("HTTP/1.1 503 ") && response.contains("no-store"), "{response}");
        }
        let counted = "proxima_edge_requests_total{result=\"Error\",reason=\"NotConfigured\",status=\"5xx\"} 2";
        assert!(edge.metrics.to_text().contains(counted), "{}", edge.metrics.to_text());
        assert_eq!(edge.metrics.connections_accepted.get(), 1);
    })
    .await;
}

#[tokio::test]
async fn http2_is_spoken_by_prior_knowledge_on_the_same_port() {
    with_worker(async |_, address| {
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let request = http::Request::get(format!("http://{address}/")).body(Empty::<bytes::Bytes>::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!((response.status().as_u16(), response.version()), (503, http::Version::HTTP_2));
        assert!(!response.into_body().collect().await.unwrap().to_bytes().is_empty());
        drop(sender);
        connection.await.unwrap().unwrap();
    })
    .await;
}

#[tokio::test]
async fn shutdown_closes_idle_connections_and_waits_for_the_last() {
    let mut kept = None;
    with_worker(async |edge: Arc<Edge>, address| {
        let mut used = TcpStream::connect(address).await.unwrap();
        used.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        read_response(&mut used).await;
        let fresh = TcpStream::connect(address).await.unwrap();
        while edge.metrics.connections_accepted.get() < 2 {
            tokio::task::yield_now().await;
        }
        kept = Some((used, fresh));
    })
    .await;
    let (mut used, mut fresh) = kept.unwrap();
    assert_eq!(used.read(&mut [0; 1]).await.unwrap(), 0);
    assert_eq!(fresh.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn what_is_not_http_is_answered_and_counted() {
    with_worker(async |edge: Arc<Edge>, address| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"this is not HTTP\r\n\r\n").await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
        drop(stream);
        let line = "proxima_edge_connections_closed_total{reason=\"Failed\"} 1\n";
        while !edge.metrics.to_text().contains(line) {
            tokio::task::yield_now().await;
        }
        assert_eq!(edge.metrics.connections.get(), 0);
    })
    .await;
}

#[tokio::test]
async fn panic_ends_one_stream_and_is_counted() {
    use hyper::rt::Executor;

    with_worker(async |edge: Arc<Edge>, address| {
        LocalExecutor::new(Arc::clone(&edge.metrics)).execute(async { panic!("a fault of the edge") });
        while edge.metrics.panics.get() == 0 {
            tokio::task::yield_now().await;
        }
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        read_response(&mut stream).await;
    })
    .await;
}

#[tokio::test]
async fn panic_ends_one_connection_and_is_counted() {
    let metrics = Metrics::new();
    assert_eq!(contained(&metrics, async { panic!("a fault of the edge") }).await, Closed::Panicked);
    assert_eq!(contained(&metrics, async { Closed::Done }).await, Closed::Done);
    assert_eq!(metrics.panics.get(), 1);
}

/// Panics where a library says something: a fault in the middle of real work, on one thread.
struct PanicsAt {
    target: &'static str,
    message: &'static str,
}

impl tracing::Subscriber for PanicsAt {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == self.target
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut |_: &tracing::field::Field, value: &dyn std::fmt::Debug| {
            assert_ne!(format!("{value:?}"), self.message, "a fault of a library");
        });
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn panic_in_the_middle_of_a_connection_ends_no_other_and_the_worker_goes_on() {
    let ask = async |address| {
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::get(format!("http://{address}/")).body(Empty::<bytes::Bytes>::new()).unwrap();
        sender.send_request(request).await.map(|response| response.status().as_u16())
    };
    with_worker(async |edge: Arc<Edge>, address| {
        let mut other = TcpStream::connect(address).await.unwrap();
        other.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        read_response(&mut other).await;
        let faulty = tracing::subscriber::set_default(PanicsAt { target: "h2::server", message: "received incoming" });
        assert!(ask(address).await.is_err(), "without an answer");
        drop(faulty);
        let ended = "proxima_edge_connections_closed_total{reason=\"Panicked\"} 1\n";
        assert!(edge.metrics.panics.get() == 1 && edge.metrics.to_text().contains(ended));
        other.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        read_response(&mut other).await;
        assert_eq!(ask(address).await.unwrap(), 503);
        while edge.metrics.connections.get() > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[test]
fn workers_share_one_port_that_the_system_chose() {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let listeners = listener::bind_all(address, NonZeroUsize::new(3).unwrap()).unwrap();
    let ports: Vec<u16> = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
    assert_eq!(ports.len(), 3);
    assert!(ports[0] != 0 && ports.iter().all(|port| *port == ports[0]), "{ports:?}");
}
