//! What the operator counts. Every series has a closed set of labels, so their number is bounded.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Upper bounds of reconcile durations, seconds: from "nothing to write" to "the API server is slow".
const RECONCILE_SECONDS: [f64; 12] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0];
/// Upper bounds of push latencies, seconds: one round trip and a compilation, or an edge that is busy.
const PUSH_SECONDS: [f64; 12] = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 30.0];

/// All counters of one operator process. Cheap to clone: all clones count together.
#[derive(Clone)]
pub struct Metrics(Arc<Series>);

struct Series {
    registry: Registry,
    reconciles: Counter,
    reconcile_duration: Histogram,
    reconcile_errors: Family<[(&'static str, &'static str); 1], Counter>,
    mutating_requests: Family<[(&'static str, &'static str); 2], Counter>,
    link_connections: Gauge<i64, AtomicI64>,
    push_latency: Histogram,
    distributions: Gauge<i64, AtomicI64>,
    watch_errors: Family<[(&'static str, &'static str); 1], Counter>,
}

/// The stages that a reconcile can fail in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Reading what the Distribution refers to.
    Gather,
    /// Judging it.
    Validate,
    /// Making the objects.
    Build,
    /// Writing them.
    Apply,
    /// Writing the status.
    Status,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 5] = [Self::Gather, Self::Validate, Self::Build, Self::Apply, Self::Status];

    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gather => "gather",
            Self::Validate => "validate",
            Self::Build => "build",
            Self::Apply => "apply",
            Self::Status => "status",
        }
    }
}

/// What a request to the API server changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// POST.
    Create,
    /// PUT.
    Update,
    /// PATCH, server-side apply included.
    Patch,
    /// DELETE.
    Delete,
}

impl Verb {
    /// The API server's name of it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("proxima_operator");
        let series = Series {
            reconciles: Counter::default(),
            reconcile_duration: Histogram::new(RECONCILE_SECONDS),
            reconcile_errors: Family::default(),
            mutating_requests: Family::default(),
            link_connections: Gauge::default(),
            push_latency: Histogram::new(PUSH_SECONDS),
            distributions: Gauge::default(),
            watch_errors: Family::default(),
            registry: Registry::default(),
        };
        let r = &mut registry;
        r.register("reconciles", "Reconciles that were begun", series.reconciles.clone());
        let help = "Time that a reconcile took";
        r.register_with_unit("reconcile_duration", help, Unit::Seconds, series.reconcile_duration.clone());
        r.register("reconcile_errors", "Reconciles that failed, by stage", series.reconcile_errors.clone());
        let help = "Requests to the API server that may change something, by verb and kind";
        r.register("mutating_requests", help, series.mutating_requests.clone());
        r.register("link_connections", "Edges with which a link stands", series.link_connections.clone());
        let help = "Time from publishing a revision to the answer of an edge that serves it";
        r.register_with_unit("push_latency", help, Unit::Seconds, series.push_latency.clone());
        r.register("distributions", "Distributions that are known", series.distributions.clone());
        r.register("watch_errors", "Errors of watches of the API server, by kind", series.watch_errors.clone());
        // All stages from the start, so that the first failure is seen as a change.
        for stage in Stage::ALL {
            drop(series.reconcile_errors.get_or_create(&[("stage", stage.as_str())]));
        }
        Self(Arc::new(Series { registry, ..series }))
    }

    /// Counts a reconcile that took `duration`, failed or not.
    pub fn reconciled(&self, duration: Duration) {
        self.0.reconciles.inc();
        self.0.reconcile_duration.observe(duration.as_secs_f64());
    }

    /// Counts a reconcile that failed in `stage`.
    pub fn reconcile_failed(&self, stage: Stage) {
        self.0.reconcile_errors.get_or_create(&[("stage", stage.as_str())]).inc();
    }

    /// Counts a request that may change an object of `kind`; to be called right before it is sent.
    pub fn mutating(&self, verb: Verb, kind: &'static str) {
        self.0.mutating_requests.get_or_create(&[("verb", verb.as_str()), ("kind", kind)]).inc();
    }

    /// Edges with which a link stands.
    pub fn link_connections(&self) -> &Gauge<i64, AtomicI64> {
        &self.0.link_connections
    }

    /// Counts an edge that said to serve what was published `latency` ago.
    pub fn pushed(&self, latency: Duration) {
        self.0.push_latency.observe(latency.as_secs_f64());
    }

    /// Sets the number of Distributions.
    pub fn set_distributions(&self, count: usize) {
        self.0.distributions.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Counts an error of the watch of `kind`.
    pub fn watch_failed(&self, kind: &'static str) {
        self.0.watch_errors.get_or_create(&[("kind", kind)]).inc();
    }

    /// Everything, in the text format of OpenMetrics.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let written = prometheus_client::encoding::text::encode(&mut text, &self.0.registry);
        written.expect("writing to a String cannot fail");
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_have_their_published_names() {
        let metrics = Metrics::new();
        metrics.reconciled(Duration::from_millis(20));
        metrics.reconcile_failed(Stage::Apply);
        metrics.mutating(Verb::Patch, "Deployment");
        metrics.link_connections().inc();
        metrics.pushed(Duration::from_millis(3));
        metrics.set_distributions(2);
        metrics.watch_failed("nodes");
        let text = metrics.to_text();
        for line in [
            "proxima_operator_reconciles_total 1",
            "proxima_operator_reconcile_duration_seconds_count 1",
            "proxima_operator_reconcile_errors_total{stage=\"apply\"} 1",
            "proxima_operator_reconcile_errors_total{stage=\"gather\"} 0",
            "proxima_operator_mutating_requests_total{verb=\"patch\",kind=\"Deployment\"} 1",
            "proxima_operator_link_connections 1",
            "proxima_operator_push_latency_seconds_count 1",
            "proxima_operator_distributions 2",
            "proxima_operator_watch_errors_total{kind=\"nodes\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn clones_count_together() {
        let metrics = Metrics::new();
        metrics.clone().set_distributions(3);
        assert!(metrics.to_text().contains("distributions 3"));
    }
}
