use std::io;
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

use http::{Request, StatusCode};
use proxima_edge_core::request::Scheme;
use proxima_edge_core::timestamp::Timestamp;

use super::*;
use crate::clock::Clock;
use crate::plan_source::PlanSource;
use crate::process::edge_for_tests;

const PATIENCE: Duration = Duration::from_secs(30);

/// Keeps what is written.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn all(&self) -> Vec<serde_json::Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Says when a write begins, and holds it until its gate is dropped.
struct Gated {
    begun: Sender<()>,
    gate: std::sync::mpsc::Receiver<()>,
}

impl Write for Gated {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The test may have seen enough.
        let _ = self.begun.send(());
        let _ = self.gate.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn worker(output: Option<Box<dyn Write + Send>>) -> Rc<Worker> {
    let (clock, metrics) = (Clock::manual(Timestamp::from_millis(1_000)), Arc::new(Metrics::new()));
    let nowhere = std::path::Path::new("/nonexistent");
    let plans = PlanSource::open(nowhere, nowhere, clock.clone(), Arc::clone(&metrics));
    let mut edge = edge_for_tests(plans, clock, Arc::clone(&metrics));
    if let Some(output) = output {
        edge.log = AccessLog::to(output, "zone-a", "edge-1", metrics).unwrap();
    }
    let edge = Arc::new(edge);
    Rc::new(Worker::new(edge))
}

fn begin(worker: &Rc<Worker>) -> Box<Record> {
    let request = Request::get("/path?query=1").header("Host", "shop.example.com").header("User-Agent", "a test");
    let (head, ()) = request.body(()).unwrap().into_parts();
    let connection = ConnectionFacts { peer: "192.0.2.1:1234".parse().unwrap(), scheme: Scheme::Http };
    Record::begin(worker, &connection, &head)
}

#[tokio::test]
async fn record_reports_itself_when_it_is_dropped() {
    let lines = Lines::default();
    let worker = worker(Some(Box::new(lines.clone())));
    let mut record = begin(&worker);
    let id = record.request_id;
    worker.edge.clock.advance(Duration::from_millis(250));
    record.fields.status = Some(StatusCode::OK);
    record.fields.reason = Reason::Miss;
    record.fields.body_bytes = 42;
    drop(record);
    worker.edge.log.flush(PATIENCE);
    let text = serde_json::to_string(&lines.all()).unwrap();
    assert_eq!(lines.all().len(), 1);
    for word in ["shop.example.com", "/path", "query=1", "a test", "192.0.2.1", "Miss", "zone-a", id.as_str()] {
        assert!(text.contains(word), "{word} in {text}");
    }
    let metrics = worker.edge.metrics.to_text();
    assert!(metrics.contains("proxima_edge_request_duration_seconds_sum{result=\"Miss\"} 0.25\n"), "{metrics}");
}

#[tokio::test]
async fn request_that_nobody_finished_was_left_by_the_viewer() {
    let lines = Lines::default();
    let worker = worker(Some(Box::new(lines.clone())));
    drop(begin(&worker));
    worker.edge.log.flush(PATIENCE);
    assert_eq!(lines.all()[0]["aborted"], true);
    let metrics = worker.edge.metrics.to_text();
    let line = "proxima_edge_requests_total{result=\"Error\",reason=\"ViewerAborted\",status=\"none\"} 1\n";
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test]
async fn without_a_log_no_text_is_kept_but_requests_are_counted() {
    let worker = worker(None);
    let record = begin(&worker);
    assert!(!record.is_logged());
    assert_eq!((record.fields.path.as_str(), record.fields.host.as_str()), ("", ""));
    assert_eq!(record.fields.user_agent, None);
}

#[tokio::test]
async fn lines_beyond_the_queue_are_dropped_and_counted_and_nobody_waits() {
    let (begun, written) = channel();
    let (gate, gated) = channel();
    let worker = worker(Some(Box::new(Gated { begun, gate: gated })));
    drop(begin(&worker));
    written.recv_timeout(PATIENCE).expect("the log's thread begins to write");
    let more = 10;
    for _ in 0..limits::LOG_QUEUE + more {
        drop(begin(&worker));
    }
    assert_eq!(worker.edge.metrics.log_dropped.get(), more as u64);
    drop(gate);
}
