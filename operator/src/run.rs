//! Cluster mode: the same stages as locally, with the API server in place of files and Deployments in place of
//! processes.
//!
//! ```text
//!   watches ─▶ index ─▶ reconcile: gather ─▶ validate ─▶ build ─▶ apply      one Distribution at a time, several at once
//!                │                client      pure        pure     client
//!                │                                                  └─▶ outcome ─┐
//!                └─▶ hub: a link to every Pod of an edge ─▶ answers ─────────────┴─▶ report: status ─▶ patch, events
//! ```
//!
//! Reconciling is level-triggered: it looks at what is, never at why it was called. A request that changes something is
//! made only when what is there differs from what is wanted, so a restart of the operator writes nothing but its Lease.

pub mod admin;
pub mod apply;
pub mod client;
pub mod events;
pub mod facts;
pub mod gather;
pub mod hub;
pub mod index;
pub mod judgements;
pub mod metrics;
mod operator;
pub mod outcome;
pub mod placement;
pub mod pods;
pub mod reconcile;
pub mod report;
pub mod request;
pub mod secrets;
pub mod ssa;
pub mod term;
pub mod watches;

#[cfg(test)]
mod script;

use std::fmt;
use std::future::Future;
use std::io::{self, Write};
use std::sync::Arc;

use futures::stream::{self, Stream, StreamExt};
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::reflector::{ObjectRef, store::Writer};
use kube::runtime::watcher::Config;
use kube::runtime::{Controller, PredicateConfig, WatchStreamExt, controller, predicates, watcher};
use kube::{Api, ResourceExt};
use proxima_crds::v1alpha1::Distribution;
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use self::admin::Health;
use self::events::Events;
use self::hub::{Hub, News};
use self::index::Index;
use self::judgements::Judgements;
use self::metrics::Metrics;
pub use self::operator::Operator;
use self::outcome::Outcomes;
use self::placement::{Backoffs, Placements};
use self::report::Written;
use self::secrets::LinkSecrets;
use crate::args::RunSettings;
use crate::backoff::Backoff;
use crate::distribution::build::{ClusterSettings, traffic_distribution};
use crate::distribution::gather::ObjectName;
use crate::{clock, limits};

/// What a watch of Distributions is called in messages and metrics.
const DISTRIBUTIONS: &str = "distributions";

type Reference = ObjectRef<DynamicObject>;

/// Why a run ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no usable way to the API server.
    #[error(transparent)]
    Client(#[from] client::ClientError),
    /// The admin port cannot be opened.
    #[error("cannot open --admin {address}: {error}")]
    Admin {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// Signals cannot be caught.
    #[error("cannot catch signals: {0}")]
    Signals(io::Error),
}

impl Error {
    /// Whether the user can mend it before starting again.
    pub fn is_users(&self) -> bool {
        matches!(self, Self::Client(_) | Self::Admin { .. })
    }
}

/// Runs until a signal ends it.
pub async fn run(settings: RunSettings) -> Result<(), Error> {
    let mut signals = Signals::catch().map_err(Error::Signals)?;
    tokio::select! {
        result = work(settings) => result,
        () = signals.next() => {
            tracing::info!("stopping; edges serve on");
            Ok(())
        }
    }
}

/// The signals that end a run.
struct Signals([Signal; 2]);

impl Signals {
    fn catch() -> io::Result<Self> {
        Ok(Self([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

async fn work(settings: RunSettings) -> Result<(), Error> {
    let config = client::config().await?;
    let namespace = settings.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let (health, metrics) = (Arc::new(Health::new()), Metrics::new());
    let admin = admin::open(settings.admin, Arc::clone(&health), metrics.clone()).await;
    let admin = admin.map_err(|error| Error::Admin { address: settings.admin, error })?;
    say_hello(&admin);
    let client = client::client(config, Arc::clone(&health))?;
    let version = client::wait_until_usable(&client, &health).await;
    // A restart in the same Pod is another holder of the Lease.
    let identity = format!("{}_{}", settings.host_name, std::process::id());
    let term = insist(&health, || term::take_term(&client, &namespace, &identity, clock::now(), &metrics)).await;
    let keys = insist(&health, || secrets::client_keys(&client, &namespace, &metrics)).await;
    tracing::info!(term, server = %version, namespace, "watching Distributions");

    let resource = ApiResource::erase::<Distribution>(&());
    let writer = Writer::new(resource.clone());
    let (reconciles, reconcile_triggers) = mpsc::channel(limits::TRIGGERS);
    let (reports, report_triggers) = mpsc::channel(limits::TRIGGERS);
    let operator_pin = keys.pin().to_owned();
    let (hub, news) = Hub::new(keys, term, metrics.clone());
    let operator = Arc::new(Operator {
        cluster: ClusterSettings {
            traffic_distribution: traffic_distribution(&version.major.to_string(), &version.minor.to_string()),
            ..settings.edges
        },
        cluster_domain: settings.cluster_domain,
        term,
        index: Index::default(),
        secrets: LinkSecrets::new(client.clone(), operator_pin.clone(), metrics.clone()),
        operator_pin,
        hub,
        outcomes: Outcomes::default(),
        judgements: Judgements::default(),
        written: Written::default(),
        placements: Placements::new(settings.zone_grace),
        backoffs: Backoffs::default(),
        report_backoffs: Backoffs::default(),
        events: Events::new(client.clone(), &identity, metrics.clone()),
        metrics,
        health,
        distributions: writer.as_reader(),
        reconciles,
        reports,
        synced: Notify::new(),
        untidy: Notify::new(),
        client,
        resource,
    });
    let _watches = watches::start(&operator);
    let _news = AbortOnDropHandle::new(tokio::spawn(listen(Arc::clone(&operator), news)));
    let reconciling = reconciling(&operator, settings.workers, writer, reconcile_triggers);
    let reporting = reporting(&operator, report_triggers);
    tokio::join!(reconciling, reporting, operator.tidy());
    Ok(())
}

fn say_hello(admin: &admin::Admin) {
    let hello = json!({"admin": admin.address.to_string(), "pid": std::process::id()});
    // Whoever started this process may not care.
    let _ = writeln!(io::stdout(), "{hello}");
}

/// The controller that reconciles.
async fn reconciling(
    operator: &Arc<Operator>,
    workers: u16,
    writer: Writer<DynamicObject>,
    triggers: mpsc::Receiver<Reference>,
) {
    let api = Api::<DynamicObject>::all_with(operator.client.clone(), &operator.resource);
    let (watched, reader) = (Arc::clone(operator), writer.as_reader());
    operator.health.register(DISTRIBUTIONS);
    let objects = watcher(api, Config::default().timeout(limits::WATCH_TIMEOUT_SECONDS))
        .default_backoff()
        .modify(|object| object.managed_fields_mut().clear())
        .reflect(writer)
        .filter_map(move |event| {
            let event = event.map_err(|error| watched.watch_failed(DISTRIBUTIONS, &error)).ok();
            if let Some(event) = &event {
                watched.observe(event);
            }
            std::future::ready(event.map(Ok))
        })
        .applied_objects()
        // A status is no news to the one who wrote it.
        .predicate_filter(predicates::generation, PredicateConfig::default());
    let config = controller::Config::default().concurrency(workers).debounce(limits::RECONCILE_SETTLE);
    // Before everything is listed once, what is missing cannot be told from what is not known yet.
    operator.until_settled().await;
    Controller::for_stream_with(objects, reader, operator.resource.clone())
        .with_config(config)
        .reconcile_on(received(triggers))
        .run(timed_reconcile, reconcile::retry, Arc::clone(operator))
        .for_each(log_result)
        .await;
}

/// The controller that writes status. It shares the store of the other one, and is called when there is news.
async fn reporting(operator: &Arc<Operator>, triggers: mpsc::Receiver<Reference>) {
    let config = controller::Config::default().concurrency(limits::REPORTS);
    let reader = operator.distributions.clone();
    Controller::for_stream_with(stream::pending(), reader, operator.resource.clone())
        .with_config(config)
        .reconcile_on(received(triggers))
        .run(report::report, reconcile::retry, Arc::clone(operator))
        .for_each(log_result)
        .await;
}

async fn timed_reconcile(
    object: Arc<DynamicObject>,
    operator: Arc<Operator>,
) -> Result<controller::Action, reconcile::Error> {
    let started = Instant::now();
    let name = ObjectName::of(&*object);
    let result = reconcile::reconcile(object, Arc::clone(&operator)).await;
    operator.metrics.reconciled(started.elapsed());
    if result.is_ok() {
        operator.backoffs.forget(&name);
    }
    operator.forget_if_gone(&name);
    result
}

/// Failures of reconciling were told where they are retried; what is left is of the machinery.
async fn log_result<T>(result: Result<T, controller::Error<reconcile::Error, watcher::Error>>) {
    match result {
        Ok(_) | Err(controller::Error::ReconcilerFailed(..) | controller::Error::ObjectNotFound(_)) => {}
        Err(error) => tracing::error!(%error, "the controller failed"),
    }
}

fn received(triggers: mpsc::Receiver<Reference>) -> impl Stream<Item = Reference> + Send + 'static {
    stream::unfold(triggers, |mut triggers| async { triggers.recv().await.map(|reference| (reference, triggers)) })
}

/// Edges that said something new.
async fn listen(operator: Arc<Operator>, mut news: News) {
    loop {
        operator.report_soon(&news.next().await).await;
    }
}

/// Tries until it works. What stands in the way is told once, and shown by `health`.
async fn insist<T, E: fmt::Display, F: Future<Output = Result<T, E>>>(health: &Health, attempt: impl Fn() -> F) -> T {
    let mut backoff = Backoff::new(limits::STARTUP_RETRY_MIN, limits::STARTUP_RETRY_MAX);
    let mut told = None;
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(error) => {
                let obstacle = error.to_string();
                health.blocked(&obstacle);
                if told.as_ref() != Some(&obstacle) {
                    tracing::error!("{obstacle}; it is tried again until it works");
                    told = Some(obstacle);
                }
            }
        }
        tokio::time::sleep(backoff.pause(clock::fraction())).await;
    }
}
