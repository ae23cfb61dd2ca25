//! Local mode: the same stages as in a cluster, with processes on this machine in place of Deployments.
//!
//! `Local::reconcile` is the line; `Local::apply` is the seam where a cluster would take over. Everything runs on
//! one thread: what happens is either a look at the manifest, news of an edge, or a signal.

pub mod fleet;
pub mod folder;
pub mod judgement;
pub mod output;
pub mod processes;
pub mod readiness;
pub mod static_origin;
pub mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use proxima_crds::v1alpha1::{Address, AddressType, DistributionStatus};
use proxima_edge_core::link::Envelope;
use serde_json::Value;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use self::fleet::{Fleet, FleetError};
use self::judgement::{Judged, judge};
use self::output::EdgeLine;
use self::static_origin::{ServeError, StaticOrigin};
use self::watch::Watch;
use crate::args::{LocalSettings, Output};
use crate::distribution::build::{Desired, build};
use crate::distribution::gather::{Gathering, LocalServices, Located, ObjectName, gather};
use crate::distribution::status::{Observed, Refused, status};
use crate::distribution::validate::ServiceKind;
use crate::{clock, limits};

/// Why a run ended.
#[derive(Debug)]
pub enum Error {
    /// The first manifest is wrong; everything that is wrong with it.
    Manifest(Vec<String>),
    /// More edges than one machine should run.
    TooManyEdges(usize),
    /// A folder cannot be served.
    Serve(ServeError),
    /// Edges cannot be run.
    Fleet(FleetError),
    /// Signals cannot be caught.
    Signals(std::io::Error),
}

impl Error {
    /// Whether the user can mend it: wrong arguments or a wrong manifest.
    pub fn is_users(&self) -> bool {
        match self {
            Self::Manifest(_) | Self::TooManyEdges(_) | Self::Serve(_) => true,
            Self::Fleet(_) | Self::Signals(_) => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manifest(problems) => {
                write!(formatter, "the manifest is not accepted; nothing was started\n  {}", problems.join("\n  "))
            }
            Self::TooManyEdges(wanted) => write!(
                formatter,
                "{wanted} edges are wanted, at most {} run on one machine; use fewer --zones or --replicas",
                limits::LOCAL_EDGES
            ),
            Self::Serve(error) => error.fmt(formatter),
            Self::Fleet(error) => error.fmt(formatter),
            Self::Signals(error) => write!(formatter, "cannot catch signals: {error}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<FleetError> for Error {
    fn from(error: FleetError) -> Self {
        Self::Fleet(error)
    }
}

/// Runs the Distributions of the manifest until a signal ends it.
pub async fn run(settings: LocalSettings) -> Result<(), Error> {
    let mut signals = Signals::catch().map_err(Error::Signals)?;
    let mut local = Local::new(settings).await?;
    let mut watch = Watch::new(&local.settings.manifests);
    let ended = tokio::select! {
        result = local.live(&mut watch) => result,
        () = signals.next() => Ok(()),
    };
    if ended.is_ok() {
        tracing::info!("stopping: edges finish their requests; once more to end them at once");
    }
    for origin in local.served.iter().filter(|_| ended.is_ok()) {
        tracing::info!("origin {}: {} requests in this run", origin.name(), origin.requests());
    }
    tokio::select! {
        () = local.fleet.stop() => {}
        () = signals.next() => {}
    }
    ended
}

/// The signals that end a run.
struct Signals([Signal; 3]);

impl Signals {
    fn catch() -> std::io::Result<Self> {
        let [interrupt, terminate, hangup] = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        Ok(Self([signal(interrupt)?, signal(terminate)?, signal(hangup)?]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// A run.
struct Local {
    settings: LocalSettings,
    services: LocalServices,
    served: Vec<StaticOrigin>,
    fleet: Fleet,
    running: BTreeMap<ObjectName, Running>,
    /// What the files said when they were looked at last.
    texts: Vec<Result<String, String>>,
    /// Files and kinds of documents that were told to be skipped.
    skipped: BTreeSet<(String, String)>,
    /// Which operator process this is, to the edges.
    term: u64,
    hinted: bool,
    /// When the status is to be judged again.
    status_at: Option<Instant>,
}

/// A Distribution that was accepted at least once.
struct Running {
    desired: Desired,
    /// The document that was accepted, and its file.
    value: Value,
    file: String,
    wanted: Arc<Envelope>,
    /// What is wrong with the newest document.
    problems: Vec<Refused>,
    status: Option<DistributionStatus>,
    was_ready: bool,
    /// Generation that was shown as a table.
    shown: i64,
}

impl Local {
    async fn new(settings: LocalSettings) -> Result<Self, Error> {
        let mut served = Vec::new();
        let mut addresses = settings.origins.clone();
        for (selector, folder) in &settings.served {
            let origin = StaticOrigin::start(folder, &selector.text()).await.map_err(Error::Serve)?;
            addresses.push((selector.clone(), origin.address.to_string()));
            served.push(origin);
        }
        let services = LocalServices { addresses, cluster_domain: settings.cluster_domain.clone() };
        let fleet = Fleet::new(settings.edge.clone(), settings.listen, &settings.temporary)?;
        Ok(Self {
            settings,
            services,
            served,
            fleet,
            running: BTreeMap::new(),
            texts: Vec::new(),
            skipped: BTreeSet::new(),
            term: clock::unix_seconds(),
            hinted: false,
            status_at: None,
        })
    }

    async fn live(&mut self, watch: &mut Watch) -> Result<(), Error> {
        self.reconcile()?;
        loop {
            let settled = sleep_until(self.status_at.unwrap_or_else(Instant::now));
            tokio::select! {
                () = watch.changed() => self.reconcile()?,
                event = self.fleet.next_event() => {
                    self.fleet.note(event)?;
                    self.announce();
                    self.status_soon();
                }
                () = settled, if self.status_at.is_some() => self.status(),
            }
        }
    }

    /// The line: every stage once. Nothing happens while the files say what they said before.
    fn reconcile(&mut self) -> Result<(), Error> {
        let gathered = gather(&self.settings.manifests, &self.services); // reads files
        let Some(judged) = self.validate(gathered)? else { return Ok(()) }; // pure, but for what it tells people
        let desired = self.build(judged); // pure
        self.apply(desired)?; // processes and links
        self.status_soon(); // pure, and told once the edges had a moment to answer
        Ok(())
    }

    /// Stage two. `None` when the files have not changed. What is wrong is told; at the start it is the end.
    fn validate(&mut self, gathered: Gathering) -> Result<Option<Judged>, Error> {
        if gathered.texts == self.texts {
            return Ok(None);
        }
        let is_first = self.texts.is_empty();
        self.texts.clone_from(&gathered.texts);
        for skipped in &gathered.skipped {
            // An edit moves a document; only a new one is news.
            if self.skipped.insert((skipped.source.file.clone(), skipped.kind.clone())) {
                let source = &skipped.source;
                tracing::info!("{}:{}: {} is not of proxima.dev; skipped", source.file, source.line, skipped.kind);
            }
        }
        let judged = judge(gathered);
        let mut problems: Vec<_> = judged.problems.iter().map(Located::to_string).collect();
        let is_empty = judged.valid.is_empty() && problems.is_empty();
        if is_empty {
            let files: Vec<_> = self.settings.manifests.iter().map(|file| file.display().to_string()).collect();
            problems.push(format!("{}: there is no Distribution of proxima.dev/v1alpha1", files.join(", ")));
        }
        if is_first && !problems.is_empty() {
            return Err(Error::Manifest(problems));
        }
        for problem in &problems {
            tracing::error!("{problem}");
        }
        if !problems.is_empty() {
            tracing::error!("the edit is not accepted as it stands; what was accepted before serves on");
        }
        // Some editors empty a file before they write it; that must not stop what serves.
        Ok((!is_empty).then_some(judged))
    }

    /// Stage three.
    fn build(&self, judged: Judged) -> Wanted {
        let build = |validated| build(validated, &self.settings.placement, &self.settings.edge);
        let accepted = judged.valid.into_iter().map(|(object, accepted)| {
            (
                object,
                WantedDistribution { file: accepted.file, value: accepted.value, desired: build(accepted.validated) },
            )
        });
        Wanted { distributions: accepted.collect(), problems: judged.problems }
    }

    /// Stage four: what was accepted comes to be. What is not described any more goes, unless something is wrong: a
    /// mistyped name must not stop the Distribution that it was meant for.
    fn apply(&mut self, wanted: Wanted) -> Result<(), Error> {
        let edges = wanted.distributions.values().map(|wanted| wanted.desired.edges.len()).sum();
        if edges > limits::LOCAL_EDGES {
            let error = Error::TooManyEdges(edges);
            if self.running.is_empty() {
                return Err(error);
            }
            tracing::error!("{error}; nothing is changed");
            return Ok(());
        }
        if self.running.is_empty() {
            self.fleet.check_ports(edges)?;
        }
        for running in self.running.values_mut() {
            running.problems.clear();
        }
        for located in &wanted.problems {
            self.blame(located, &wanted.distributions);
        }
        if wanted.problems.is_empty() {
            self.remove_all_but(&wanted.distributions);
        }
        for (object, wanted) in wanted.distributions {
            self.accept(object, wanted)?;
        }
        Ok(())
    }

    /// A problem is its Distribution's, or that of every Distribution of the file.
    /// So is one of an object that does not run, for whoever is no longer described in that file: its name may have been
    /// edited.
    fn blame(&mut self, located: &Located, wanted: &BTreeMap<ObjectName, WantedDistribution>) {
        let runs = located.object.as_ref().is_some_and(|blamed| self.running.contains_key(blamed));
        let concerned = self.running.iter_mut().filter(|(object, running)| match &located.object {
            Some(blamed) if runs => blamed == *object,
            Some(_) => running.file == located.file && !wanted.contains_key(*object),
            None => running.file == located.file,
        });
        for (_, running) in concerned {
            running.problems.push(Refused { reason: located.problem.reason, text: located.to_string() });
        }
    }

    fn remove_all_but(&mut self, wanted: &BTreeMap<ObjectName, WantedDistribution>) {
        let gone: Vec<_> = self.running.keys().filter(|object| !wanted.contains_key(object)).cloned().collect();
        for object in gone {
            if let Some(running) = self.running.remove(&object) {
                tracing::info!("{object}: no longer in the manifest; its edges are stopped");
                running.desired.edges.iter().for_each(|edge| self.fleet.remove(&edge.name));
            }
        }
    }

    fn accept(&mut self, object: ObjectName, wanted: WantedDistribution) -> Result<(), Error> {
        let WantedDistribution { file, value, desired } = wanted;
        let Some(running) = self.running.get_mut(&object) else {
            let envelope = Arc::new(envelope(&desired, self.term, (1, 1)));
            for edge in &desired.edges {
                self.fleet.place(&object, edge, &envelope)?;
            }
            tracing::info!("{object}: accepted, generation 1, revision 1");
            self.running.insert(object, Running::new(desired, value, file, envelope));
            return Ok(());
        };
        running.file = file;
        if running.value == value && running.desired == desired {
            return Ok(());
        }
        // The revision counts what edges are told, the generation every accepted change.
        let revision = running.wanted.revision + u64::from(running.desired.hash != desired.hash);
        let envelope = Arc::new(envelope(&desired, self.term, (revision, running.wanted.generation + 1)));
        tracing::info!("{object}: accepted, generation {}, revision {revision}", envelope.generation);
        let before = std::mem::replace(&mut running.desired, desired);
        (running.value, running.wanted) = (value, Arc::clone(&envelope));
        let added: Vec<_> = running.desired.edges.iter().filter(|edge| !before.edges.contains(edge)).cloned().collect();
        let removed = before.edges.iter().filter(|edge| !running.desired.edges.contains(edge));
        removed.for_each(|edge| self.fleet.remove(&edge.name));
        self.fleet.publish(&object, &envelope);
        for edge in &added {
            self.fleet.place(&object, edge, &envelope)?;
        }
        Ok(())
    }

    /// Answers come in bursts: the status is judged and told when the first of a burst is a moment old.
    fn status_soon(&mut self) {
        self.status_at = self.status_at.or_else(|| Some(Instant::now() + limits::STATUS_SETTLE));
    }

    /// Stage five: what became of it, told where it changed.
    fn status(&mut self) {
        self.status_at = None;
        let (now, output) = (clock::now(), self.settings.output);
        for (object, running) in &mut self.running {
            let name = object.to_string();
            let current = status(&running.observed(object, &self.fleet), running.status.as_ref(), now);
            for line in output::transitions(&name, running.status.as_ref(), &current, running.was_ready) {
                tracing::info!("{line}");
            }
            let is_ready = output::is_ready(&current);
            running.was_ready |= is_ready;
            if output == Output::Text && is_ready && running.shown != running.wanted.generation {
                running.shown = running.wanted.generation;
                let urls = running.urls(object, &self.fleet);
                output::print(&output::table(&name, &current, &urls));
                if !self.hinted {
                    self.hinted = true;
                    output::print(&output::hints(&urls, &running.file, running.enabled()));
                }
            }
            running.status = Some(current);
        }
    }

    /// For programs: each edge once when it is ready, and again after a restart.
    fn announce(&mut self) {
        if self.settings.output != Output::Json {
            return;
        }
        for edge in self.fleet.edges_mut().filter(|edge| !edge.announced && edge.is_live()) {
            let Some(hello) = &edge.hello else { continue };
            output::edge_ready(&EdgeLine {
                distribution: edge.distribution.to_string(),
                zone: edge.observation.zone.clone(),
                replica: edge.replica,
                url: format!("http://{}", hello.http),
                admin: format!("http://{}", hello.admin),
                pid: hello.pid,
                revision: edge.wanted().revision,
            });
            edge.announced = true;
        }
    }
}

/// What the manifest asks for, built.
struct Wanted {
    distributions: BTreeMap<ObjectName, WantedDistribution>,
    problems: Vec<Located>,
}

struct WantedDistribution {
    file: String,
    value: Value,
    desired: Desired,
}

impl Running {
    fn new(desired: Desired, value: Value, file: String, wanted: Arc<Envelope>) -> Self {
        Self { desired, value, file, wanted, problems: vec![], status: None, was_ready: false, shown: 0 }
    }

    fn enabled(&self) -> bool {
        self.desired.config.distributions.iter().any(|distribution| distribution.enabled)
    }

    fn observed<'a>(&'a self, object: &'a ObjectName, fleet: &'a Fleet) -> Observed<'a> {
        let address = |(_, url): (String, String)| {
            let value = url.trim_start_matches("http://").to_owned();
            Address { kind: AddressType::IPAddress, value }
        };
        Observed {
            generation: self.wanted.generation,
            wanted: Some(&self.wanted),
            zones: &self.desired.zones,
            edges: fleet.edges_of(object).map(|edge| &edge.observation).collect(),
            problems: self.problems.clone(),
            addresses: self.urls(object, fleet).into_iter().map(address).collect(),
            // What follows is of clusters only.
            domain_name: None,
            troubles: Vec::new(),
            service: ServiceKind::ClusterIp,
            none_eligible: false,
            conflicts: Vec::new(),
            failure: None,
        }
    }

    /// Zone and address of every edge that listens, in the order wanted.
    fn urls(&self, object: &ObjectName, fleet: &Fleet) -> Vec<(String, String)> {
        let edges: Vec<_> = fleet.edges_of(object).collect();
        let wanted = self.desired.edges.iter().filter_map(|wanted| {
            let hello = edges.iter().find(|edge| edge.observation.name == wanted.name)?.hello.as_ref()?;
            Some((wanted.zone.clone(), format!("http://{}", hello.http)))
        });
        wanted.collect()
    }
}

fn envelope(desired: &Desired, term: u64, (revision, generation): (u64, i64)) -> Envelope {
    let Desired { uid, config, hash, .. } = desired;
    Envelope { uid: uid.clone(), term, revision, epoch: 0, generation, hash: hash.clone(), config: config.clone() }
}
