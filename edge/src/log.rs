//! Step 11: a line for each request, aborted ones too, and what is counted of it.
//!
//! A [`Record`] lives as long as the response does and reports itself when it is dropped, so no way out of a request
//! can forget it. Lines wait in a bounded queue for one thread that formats and writes them; when it cannot keep up,
//! lines are dropped and counted. A worker never waits for the log.

use std::io::{BufWriter, IsTerminal, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use http::{HeaderMap, HeaderName, header};
use proxima_edge_core::access_log::AccessRecord;
use proxima_edge_core::limits;
use proxima_edge_core::outcome::Reason;
use proxima_edge_core::request::ConnectionFacts;

use crate::edge::{RequestId, Worker};
use crate::held::Sending;
use crate::metrics::Metrics;

/// Messages of the edge itself go to standard error, so that standard output has only lines for machines.
pub fn start_tracing(filter: &str) {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    // A second subscriber in one process is refused; then the first one simply stays.
    let _ = subscriber.try_init();
}

/// Where lines about requests go.
pub struct AccessLog {
    queue: Option<SyncSender<Message>>,
    metrics: Arc<Metrics>,
}

enum Message {
    Line(Box<AccessRecord>),
    Flush(SyncSender<()>),
}

impl AccessLog {
    /// No lines at all; requests are still counted.
    pub fn off(metrics: Arc<Metrics>) -> Self {
        Self { queue: None, metrics }
    }

    /// Lines to `output`, by a thread of their own.
    pub fn to(output: Box<dyn Write + Send>, zone: &str, name: &str, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let (queue, lines) = sync_channel(limits::LOG_QUEUE);
        let (zone, name) = (zone.to_owned(), name.to_owned());
        std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || write_lines(&lines, output, &zone, &name))?;
        Ok(Self { queue: Some(queue), metrics })
    }

    /// Whether anybody reads what a record says; when not, its texts need not be filled in.
    pub fn is_on(&self) -> bool {
        self.queue.is_some()
    }

    fn write(&self, record: AccessRecord) {
        let Some(queue) = &self.queue else { return };
        match queue.try_send(Message::Line(Box::new(record))) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.metrics.log_dropped.inc();
            }
        }
    }

    /// Waits until everything queued so far is written, at most `patience`. Blocks: for the end of the process.
    pub fn flush(&self, patience: Duration) {
        let Some(queue) = &self.queue else { return };
        let (done, written) = sync_channel(1);
        if queue.try_send(Message::Flush(done)).is_ok() {
            // A log that cannot be written by then is lost with the process; there is nobody left to tell.
            let _ = written.recv_timeout(patience);
        }
    }
}

/// Formats and writes until all senders are gone. What arrives together is written together.
fn write_lines(lines: &Receiver<Message>, output: Box<dyn Write + Send>, zone: &str, name: &str) {
    let mut output = BufWriter::with_capacity(WRITE_BUFFER_BYTES, output);
    while let Ok(first) = lines.recv() {
        let mut next = Some(first);
        while let Some(message) = next {
            let written = match message {
                Message::Line(record) => writeln!(output, "{}", record.to_json(zone, name)),
                Message::Flush(done) => {
                    let flushed = output.flush();
                    // Who asked may have run out of patience.
                    let _ = done.try_send(());
                    flushed
                }
            };
            if let Err(error) = written {
                tracing::error!(%error, "could not write the access log; no more lines are written");
                return;
            }
            next = lines.try_recv().ok();
        }
        if let Err(error) = output.flush() {
            tracing::error!(%error, "could not write the access log; no more lines are written");
            return;
        }
    }
}

/// Lines are gathered up to this many bytes before a system call.
const WRITE_BUFFER_BYTES: usize = 64 << 10;

/// What is known of one request so far. Dropping it counts the request and queues its line.
pub struct Record {
    /// The line. Its texts are empty while the access log is off; set more of them only if [`Record::is_logged`].
    pub fields: AccessRecord,
    /// Name of the request.
    pub request_id: RequestId,
    worker: Rc<Worker>,
    began: Duration,
}

impl Record {
    /// Begins with what the request head says. Until somebody knows better, the viewer left. Boxed: it is large, and goes
    /// with the request from hand to hand.
    pub fn begin(worker: &Rc<Worker>, connection: &ConnectionFacts, head: &http::request::Parts) -> Box<Self> {
        let edge = &worker.edge;
        let mut fields = AccessRecord {
            at: edge.clock.now(),
            request_id: String::new(),
            peer: connection.peer,
            scheme: connection.scheme,
            version: head.version,
            method: head.method.clone(),
            host: String::new(),
            path: String::new(),
            query: None,
            user_agent: None,
            referer: None,
            distribution: None,
            behavior: None,
            status: None,
            reason: Reason::ViewerAborted,
            not_stored: None,
            detail: None,
            content_type: None,
            body_bytes: 0,
            request_body_bytes: 0,
            time_to_first_byte: None,
            time_taken: Duration::ZERO,
            origin_first_byte: None,
            aborted: false,
        };
        if edge.log.is_on() {
            fill_texts(&mut fields, head);
        }
        let (request_id, began) = (edge.request_ids.next(), edge.clock.uptime());
        Box::new(Self { fields, request_id, worker: Rc::clone(worker), began })
    }

    /// Whether the texts of the line are wanted.
    pub fn is_logged(&self) -> bool {
        self.worker.edge.log.is_on()
    }

    /// The counters of the edge.
    pub fn metrics(&self) -> &Metrics {
        &self.worker.edge.metrics
    }

    /// Notes a large response of this length, where it is known.
    pub fn begin_sending(&self, length: Option<u64>) -> Arc<Sending> {
        self.worker.responses.begin(length)
    }

    /// Time since the request head was complete.
    pub fn elapsed(&self) -> Duration {
        self.worker.edge.clock.uptime().saturating_sub(self.began)
    }
}

fn fill_texts(fields: &mut AccessRecord, head: &http::request::Parts) {
    let field = |name: HeaderName| text(&head.headers, &name);
    fields.host = match head.uri.authority() {
        Some(authority) => authority.as_str().to_owned(),
        None => field(header::HOST).unwrap_or_default(),
    };
    fields.path = head.uri.path().to_owned();
    fields.query = head.uri.query().map(str::to_owned);
    fields.user_agent = field(header::USER_AGENT);
    fields.referer = field(header::REFERER);
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

impl Drop for Record {
    fn drop(&mut self) {
        self.fields.time_taken = self.elapsed();
        // Without a response head there was nothing to complete.
        self.fields.aborted |= self.fields.status.is_none();
        if std::thread::panicking() {
            self.fields.reason = Reason::InternalError;
        }
        let edge = &self.worker.edge;
        edge.metrics.request_done(&self.fields);
        if edge.log.is_on() {
            let mut fields = self.fields.clone();
            fields.request_id = self.request_id.as_str().to_owned();
            edge.log.write(fields);
        }
    }
}

#[cfg(test)]
mod tests;
