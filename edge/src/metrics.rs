//! What the edge counts. Every series has a closed set of labels, so their number is bounded.
//!
//! What is counted for each request is an atomic number found by index: no lock, no lookup by label.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use proxima_edge_core::access_log::AccessRecord;
use proxima_edge_core::framing::Violation;
use proxima_edge_core::link::LinkRefusalReason;
use proxima_edge_core::outcome::{NotStored, Reason, ResultType};

/// All counters of one edge process.
pub struct Metrics {
    registry: Registry,
    requests: Arc<Requests>,

    /// Viewer connections accepted.
    pub connections_accepted: Counter,
    /// Viewer connections open.
    pub connections: Gauge<i64, AtomicI64>,
    /// Errors of accepting a connection.
    pub accept_errors: Counter,
    connections_closed: Arc<ByIndex>,
    violations: Arc<ByIndex>,
    /// Panics, each of which ended one connection.
    pub panics: Counter,
    /// HTTP/2 streams reset since the viewer took no byte for too long.
    pub stalled_streams: Counter,

    /// Viewers that wait for somebody else's fetch.
    pub fill_waiters: Gauge<i64, AtomicI64>,
    /// Fetches in progress whose result may be shared.
    pub fills: Gauge<i64, AtomicI64>,
    /// Requests sent to origins.
    pub origin_requests: Counter,
    /// Connections to origins in use.
    pub origin_connections: Gauge<i64, AtomicI64>,
    origin_errors: Arc<ByIndex>,

    /// Responses stored.
    pub stored: Counter,
    /// Stored responses that origins confirmed as unchanged.
    pub revalidated: Counter,
    not_stored: Arc<ByIndex>,
    /// Bytes that stored responses take.
    pub cache_bytes: Gauge<i64, AtomicI64>,
    /// Bytes that stored responses may take.
    pub cache_capacity_bytes: Gauge<i64, AtomicI64>,
    /// Stored entries: heads and slices.
    pub cache_objects: Gauge<i64, AtomicI64>,
    /// Entries evicted for want of room.
    pub cache_evictions: Counter,
    /// Bytes of bodies in memory that are not stored: no longer, or not yet.
    pub pinned_bytes: Gauge<i64, AtomicI64>,
    /// Bytes of responses in the making that fills hold.
    pub fill_bytes: Gauge<i64, AtomicI64>,
    /// Responses cut off since viewers held too much memory.
    pub slowest_cut: Counter,

    link_refusals: Arc<ByIndex>,
    /// Operators connected.
    pub link_connections: Gauge<i64, AtomicI64>,
    /// Times that this edge became ready without an operator.
    pub ready_without_operator: Counter,
    /// 1 when ready.
    pub ready: Gauge<i64, AtomicI64>,
    /// Revision served.
    pub revision: Gauge<i64, AtomicI64>,
    /// Invalidation epoch served.
    pub epoch: Gauge<i64, AtomicI64>,
    /// Unix time at which the configuration was put in force, seconds.
    pub configured_at: Gauge<i64, AtomicI64>,

    /// Access-log lines dropped.
    pub log_dropped: Counter,
}

/// Why a viewer connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Either side had nothing more to say.
    Done,
    /// The viewer sent what is not HTTP, or the connection broke.
    Failed,
    /// No request for too long.
    IdleTimeout,
    /// A request head took too long.
    HeadTimeout,
    /// The viewer took next to nothing for too long.
    WriteStall,
    /// Viewers held too much memory, and this one was the slowest.
    Slowest,
    /// A fault of the edge.
    Panicked,
}

impl Closed {
    /// Every way, for metrics.
    pub const ALL: [Self; 7] = [
        Self::Done,
        Self::Failed,
        Self::IdleTimeout,
        Self::HeadTimeout,
        Self::WriteStall,
        Self::Slowest,
        Self::Panicked,
    ];

    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "Done",
            Self::Failed => "Failed",
            Self::IdleTimeout => "IdleTimeout",
            Self::HeadTimeout => "HeadTimeout",
            Self::WriteStall => "WriteStall",
            Self::Slowest => "Slowest",
            Self::Panicked => "Panicked",
        }
    }
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut r = Registry::with_prefix("proxima_edge");
        let requests = Arc::new(Requests::default());
        r.register_collector(Box::new(Arc::clone(&requests)));
        Self {
            requests,
            connections_accepted: counter(&mut r, "connections_accepted", "Viewer connections accepted"),
            connections: gauge(&mut r, "connections", "Viewer connections open"),
            accept_errors: counter(&mut r, "accept_errors", "Errors of accepting a viewer connection"),
            connections_closed: by_index(
                &mut r,
                "connections_closed",
                "Viewer connections ended, by cause",
                Closed::ALL.map(Closed::as_str).to_vec(),
            ),
            violations: violations(&mut r),
            panics: counter(&mut r, "panics", "Panics, each of which ended one connection"),
            stalled_streams: counter(&mut r, "stalled_streams", "HTTP/2 streams reset since the viewer took nothing"),
            fill_waiters: gauge(&mut r, "fill_waiters", "Viewers that wait for a fetch that another one began"),
            fills: gauge(&mut r, "fills", "Fetches in progress whose result may be shared"),
            origin_requests: counter(&mut r, "origin_requests", "Requests sent to origins"),
            origin_connections: gauge(&mut r, "origin_connections", "Connections to origins in use"),
            origin_errors: by_index(
                &mut r,
                ORIGIN_ERRORS,
                "Failed requests to origins, by reason",
                Reason::ALL.iter().map(|reason| reason.as_str()).collect(),
            ),
            stored: counter(&mut r, "stored", "Responses stored"),
            revalidated: counter(&mut r, "revalidated", "Stored responses that origins confirmed as unchanged"),
            not_stored: by_index(
                &mut r,
                "not_stored",
                "Responses not stored, by reason",
                NotStored::ALL.iter().map(|reason| reason.as_str()).collect(),
            ),
            cache_bytes: gauge(&mut r, "cache_bytes", "Bytes of memory that stored responses take"),
            cache_capacity_bytes: gauge(&mut r, "cache_capacity_bytes", "Bytes that stored responses may take"),
            cache_objects: gauge(&mut r, "cache_objects", "Stored entries: heads and slices"),
            cache_evictions: counter(&mut r, "cache_evictions", "Stored entries evicted for want of room"),
            pinned_bytes: gauge(&mut r, "pinned_bytes", "Bytes of bodies that are held in memory beside the cache"),
            fill_bytes: gauge(&mut r, "fill_bytes", "Bytes of responses in the making that fills hold"),
            slowest_cut: counter(&mut r, "slowest_cut", "Responses cut off as the slowest of too many in memory"),
            link_refusals: by_index(
                &mut r,
                "link_refusals",
                "Messages of operators refused, by reason",
                LinkRefusalReason::ALL.map(LinkRefusalReason::as_str).to_vec(),
            ),
            link_connections: gauge(&mut r, "link_connections", "Operators connected"),
            ready_without_operator: counter(
                &mut r,
                "ready_without_operator",
                "Times ready without having heard of an operator",
            ),
            ready: gauge(&mut r, "ready", "1 when /readyz says yes"),
            revision: gauge(&mut r, "revision", "Revision of the configuration that is served"),
            epoch: gauge(&mut r, "epoch", "Invalidation epoch that is served"),
            configured_at: gauge(
                &mut r,
                "configured_timestamp_seconds",
                "Unix time at which the configuration was put in force",
            ),
            log_dropped: counter(
                &mut r,
                "log_dropped",
                "Access-log lines dropped since the log was not written in time",
            ),
            registry: r,
        }
    }

    /// Counts a request that is over.
    pub fn request_done(&self, record: &AccessRecord) {
        let requests = &*self.requests;
        let class = record.status.map_or(0, |status| usize::from(status.as_u16() / 100).min(STATUS_CLASSES.len() - 1));
        requests.count[record.reason as usize * STATUS_CLASSES.len() + class].fetch_add(1, Ordering::Relaxed);
        requests.durations[record.reason.result_type() as usize].observe(record.time_taken);
        requests.sent_bytes.fetch_add(record.body_bytes, Ordering::Relaxed);
        requests.received_bytes.fetch_add(record.request_body_bytes, Ordering::Relaxed);
    }

    /// Counts the end of a viewer connection.
    pub fn connection_closed(&self, how: Closed) {
        self.connections_closed.inc(how as usize);
    }

    /// Counts a viewer who broke the framing.
    pub fn violation(&self, violation: Violation) {
        self.violations.inc(violation as usize);
    }

    /// Counts a failed request to an origin.
    pub fn origin_error(&self, reason: Reason) {
        self.origin_errors.inc(reason as usize);
    }

    /// Counts a response that was not stored.
    pub fn not_stored(&self, reason: NotStored) {
        self.not_stored.inc(reason as usize);
    }

    /// Counts a message of an operator that was refused.
    pub fn link_refused(&self, reason: LinkRefusalReason) {
        self.link_refusals.inc(reason as usize);
    }

    /// Everything, in the text format of OpenMetrics.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("writing to a String cannot fail");
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn violations(registry: &mut Registry) -> Arc<ByIndex> {
    by_index(
        registry,
        "framing_violations",
        "Viewer connections ended for the framing of what was sent, by what was wrong",
        Violation::ALL.iter().map(|violation| violation.as_str()).collect(),
    )
}

fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
    let metric = Counter::default();
    registry.register(name, help, metric.clone());
    metric
}

fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauge<i64, AtomicI64> {
    let metric = Gauge::<i64, AtomicI64>::default();
    registry.register(name, help, metric.clone());
    metric
}

fn by_index(
    registry: &mut Registry,
    name: &'static str,
    help: &'static str,
    values: Vec<&'static str>,
) -> Arc<ByIndex> {
    let counts = values.iter().map(|_| AtomicU64::new(0)).collect();
    let metric = Arc::new(ByIndex { name, help, values, counts });
    registry.register_collector(Box::new(Arc::clone(&metric)));
    metric
}

/// A counter with one label whose values are a closed enum. All are in the text from the start, so that the first
/// occurrence is seen as a change; of request reasons only those that can be an origin's fault.
#[derive(Debug)]
struct ByIndex {
    name: &'static str,
    help: &'static str,
    values: Vec<&'static str>,
    counts: Vec<AtomicU64>,
}

impl ByIndex {
    fn inc(&self, index: usize) {
        self.counts[index].fetch_add(1, Ordering::Relaxed);
    }
}

impl prometheus_client::collector::Collector for ByIndex {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let mut family = encoder.encode_descriptor(self.name, self.help, None, MetricType::Counter)?;
        for (value, count) in self.values.iter().zip(&self.counts) {
            let count = count.load(Ordering::Relaxed);
            if count > 0 || self.name != ORIGIN_ERRORS || value.starts_with("Origin") {
                ConstCounter::new(count).encode(family.encode_family(&[("reason", *value)])?)?;
            }
        }
        Ok(())
    }
}

/// The one counter whose label has more values than can occur.
const ORIGIN_ERRORS: &str = "origin_errors";

/// Values of the label `status`; `none` when the viewer left before the response head.
const STATUS_CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// Upper bounds of the duration histogram, microseconds: from a hit in memory to the longest origin timeout.
const DURATION_BOUNDS_MICROS: [u64; 15] = [
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    1_000_000,
    5_000_000,
    30_000_000,
    120_000_000,
];

/// What is counted for each request.
#[derive(Debug)]
struct Requests {
    /// By reason and status class.
    count: Vec<AtomicU64>,
    /// By result type.
    durations: [Durations; ResultType::ALL.len()],
    sent_bytes: AtomicU64,
    received_bytes: AtomicU64,
}

impl Default for Requests {
    fn default() -> Self {
        let count = (0..Reason::ALL.len() * STATUS_CLASSES.len()).map(|_| AtomicU64::new(0)).collect();
        Self { count, durations: Default::default(), sent_bytes: AtomicU64::new(0), received_bytes: AtomicU64::new(0) }
    }
}

/// A histogram without a lock: the one of the library takes one for each observation.
#[derive(Debug, Default)]
struct Durations {
    buckets: [AtomicU64; DURATION_BOUNDS_MICROS.len() + 1],
    sum_micros: AtomicU64,
}

impl Durations {
    fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = DURATION_BOUNDS_MICROS.partition_point(|bound| *bound < micros);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }
}

impl prometheus_client::collector::Collector for Requests {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let mut family = encoder.encode_descriptor(
            "requests",
            "Requests of viewers, by what became of them and by class of the status sent",
            None,
            MetricType::Counter,
        )?;
        for (index, count) in self.count.iter().enumerate() {
            let count = count.load(Ordering::Relaxed);
            if count > 0 {
                let reason = Reason::ALL[index / STATUS_CLASSES.len()];
                let labels = [
                    ("result", reason.result_type().as_str()),
                    ("reason", reason.as_str()),
                    ("status", STATUS_CLASSES[index % STATUS_CLASSES.len()]),
                ];
                ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        let mut family = encoder.encode_descriptor(
            "request_duration_seconds",
            "Time from a complete request head to the end of the response, by result",
            None,
            MetricType::Histogram,
        )?;
        for result in ResultType::ALL {
            let durations = &self.durations[result as usize];
            let buckets: Vec<(f64, u64)> = DURATION_BOUNDS_MICROS
                .iter()
                .map(|micros| Duration::from_micros(*micros).as_secs_f64())
                .chain([f64::INFINITY])
                .zip(durations.buckets.iter().map(|count| count.load(Ordering::Relaxed)))
                .collect();
            let count = buckets.iter().map(|(_, count)| count).sum();
            if count > 0 {
                let sum = Duration::from_micros(durations.sum_micros.load(Ordering::Relaxed)).as_secs_f64();
                family
                    .encode_family(&[("result", result.as_str())])?
                    .encode_histogram::<[(&str, &str); 0]>(sum, count, &buckets, None)?;
            }
        }
        for (name, help, count) in [
            ("sent_body_bytes", "Bytes of response bodies sent to viewers", &self.sent_bytes),
            ("received_body_bytes", "Bytes of request bodies received from viewers", &self.received_bytes),
        ] {
            let count = ConstCounter::new(count.load(Ordering::Relaxed));
            count.encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
