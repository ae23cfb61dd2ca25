//! The edges of a run: their processes, their links, and what is known of each. What a cluster does with Deployments and
//! Pods is done here with processes.
//!
//! Must not know manifests, nor judge what the observations mean for a Distribution.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use proxima_edge_core::link::Envelope;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use super::folder::{EdgeFolder, RunFolder};
use super::processes::{Hello, Process, ProcessError, ProcessEvent, ProcessNews, ProcessSpec, check_port_is_free};
use super::readiness::{ReadinessEvent, probe};
use crate::args::EdgeSettings;
use crate::distribution::build::EdgeProcess;
use crate::distribution::gather::ObjectName;
use crate::distribution::status::{Contact, EdgeObservation};
use crate::limits;
use crate::link::keys::KeysError;
use crate::link::{Edges, Keys, Report, Target, Timings};

/// Every edge of the run.
pub struct Fleet {
    settings: EdgeSettings,
    listen: SocketAddr,
    folder: RunFolder,
    operator_pin: String,
    links: Edges,
    incarnations: Arc<AtomicU64>,
    edges: BTreeMap<String, Edge>,
    /// Whether any edge of this run ever came as far as that.
    has_listened: bool,
    /// Removed edges that still finish their requests, and the ports that they hold.
    leaving: JoinSet<SocketAddr>,
    leaving_ports: Vec<SocketAddr>,
    process_events: Channel<ProcessEvent>,
    readiness_events: Channel<ReadinessEvent>,
    reports: mpsc::Receiver<Report>,
}

type Channel<T> = (mpsc::Sender<T>, mpsc::Receiver<T>);

/// One edge.
pub struct Edge {
    /// Whose edge it is.
    pub distribution: ObjectName,
    /// Counts from 0 within its zone.
    pub replica: u32,
    /// Where viewers come in, as far as it is known.
    pub http: SocketAddr,
    /// What its living process said first.
    pub hello: Option<Hello>,
    /// What is known of it.
    pub observation: EdgeObservation,
    /// Whether its living process was reported as ready before.
    pub announced: bool,
    wanted: Arc<Envelope>,
    incarnation: Option<u64>,
    folder: EdgeFolder,
    server_pin: String,
    process: Process,
    probe: Option<AbortOnDropHandle<()>>,
}

/// News of an edge.
#[derive(Debug)]
pub enum FleetEvent {
    /// Of its process.
    Process(ProcessEvent),
    /// Of its readiness.
    Readiness(ReadinessEvent),
    /// Of its link.
    Link(Report),
}

/// Why edges cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// Files.
    #[error("cannot write the private folder of this run: {0}")]
    Folder(#[from] io::Error),
    /// Keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A port is taken, or the binary does not start.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// Ports end at 65535.
    #[error("there is no port left after {0}; choose a lower one with --listen")]
    NoPort(SocketAddr),
}

impl Fleet {
    /// No edges yet.
    pub fn new(settings: EdgeSettings, listen: SocketAddr, temporary: &Path) -> Result<Self, FleetError> {
        let keys = Keys::generate("proxima-operator")?;
        let (report_sender, reports) = mpsc::channel(limits::EDGE_EVENTS);
        Ok(Self {
            settings,
            listen,
            folder: RunFolder::create(temporary)?,
            operator_pin: keys.pin(),
            links: Edges::new(keys, report_sender, Timings::default()),
            incarnations: Arc::default(),
            edges: BTreeMap::new(),
            has_listened: false,
            leaving: JoinSet::new(),
            leaving_ports: Vec::new(),
            process_events: mpsc::channel(limits::EDGE_EVENTS),
            readiness_events: mpsc::channel(limits::EDGE_EVENTS),
            reports,
        })
    }

    /// The edges of a Distribution, by name.
    pub fn edges_of<'a>(&'a self, distribution: &'a ObjectName) -> impl Iterator<Item = &'a Edge> {
        self.edges.values().filter(move |edge| edge.distribution == *distribution)
    }

    /// All edges, by name.
    pub fn edges_mut(&mut self) -> impl Iterator<Item = &mut Edge> {
        self.edges.values_mut()
    }

    /// Fails when a port that `count` edges would get is taken, before anything is started.
    pub fn check_ports(&self, count: usize) -> Result<(), FleetError> {
        if self.listen.port() == 0 {
            return Ok(check_port_is_free(self.listen)?);
        }
        for offset in 0..count {
            check_port_is_free(nth_port(self.listen, offset)?)?;
        }
        Ok(())
    }

    /// Starts an edge that begins with `wanted`.
    pub fn place(
        &mut self,
        distribution: &ObjectName,
        edge: &EdgeProcess,
        wanted: &Arc<Envelope>,
    ) -> Result<(), FleetError> {
        let keys = Keys::generate(&format!("{}.proxima-edge", edge.zone.to_ascii_lowercase().replace('_', "-")))?;
        let folder = self.folder.add_edge(&keys, &self.operator_pin)?;
        folder.write_boot_copy(wanted)?;
        let http = self.free_port()?;
        let spec = ProcessSpec {
            name: edge.name.clone(),
            binary: self.settings.binary.clone(),
            args: arguments(&folder, edge),
            http,
            log: self.settings.log.clone(),
            incarnations: Arc::clone(&self.incarnations),
        };
        let placed = Edge {
            distribution: distribution.clone(),
            replica: edge.replica,
            http,
            hello: None,
            observation: EdgeObservation::starting(&edge.zone, &edge.name),
            announced: false,
            wanted: Arc::clone(wanted),
            incarnation: None,
            folder,
            server_pin: keys.pin(),
            process: Process::start(spec, self.process_events.0.clone()),
            probe: None,
        };
        self.edges.insert(edge.name.clone(), placed);
        Ok(())
    }

    /// The first port that no edge of this run has, or still has.
    fn free_port(&self) -> Result<SocketAddr, FleetError> {
        if self.listen.port() == 0 {
            return Ok(self.listen);
        }
        for offset in 0.. {
            let address = nth_port(self.listen, offset)?;
            if !self.leaving_ports.contains(&address) && self.edges.values().all(|edge| edge.http != address) {
                return Ok(address);
            }
        }
        Err(FleetError::NoPort(self.listen))
    }

    /// What every edge of the Distribution shall serve from now on, also after a restart.
    pub fn publish(&mut self, distribution: &ObjectName, wanted: &Arc<Envelope>) {
        for (name, edge) in self.edges.iter_mut().filter(|(_, edge)| edge.distribution == *distribution) {
            // A running edge has it from the link and keeps it in its state file; the copy is for the next process.
            if let Err(error) = edge.folder.write_boot_copy(wanted) {
                tracing::warn!(edge = name, %error, "cannot write the boot copy");
            }
            edge.wanted = Arc::clone(wanted);
            edge.observation.refused = None;
            self.links.publish(name, Arc::clone(wanted));
        }
    }

    /// Lets an edge finish its requests and ends it, without waiting for that.
    pub fn remove(&mut self, name: &str) {
        self.links.release(name);
        if let Some(Edge { process, folder, http, .. }) = self.edges.remove(name) {
            self.leaving_ports.push(http);
            self.leaving.spawn(async move {
                process.stop().await;
                if let Err(error) = folder.remove() {
                    tracing::debug!(%error, "cannot remove the folder of an edge");
                }
                http
            });
        }
    }

    /// Ends all edges, and waits for that.
    pub async fn stop(mut self) {
        let names: Vec<_> = self.edges.keys().cloned().collect();
        names.iter().for_each(|name| self.remove(name));
        while self.leaving.join_next().await.is_some() {}
    }

    /// The next news. Nothing is lost when it is cancelled.
    pub async fn next_event(&mut self) -> FleetEvent {
        let open = "the fleet keeps a sender of each channel";
        tokio::select! {
            event = self.process_events.1.recv() => FleetEvent::Process(event.expect(open)),
            event = self.readiness_events.1.recv() => FleetEvent::Readiness(event.expect(open)),
            event = self.reports.recv() => FleetEvent::Link(event.expect(open)),
        }
    }

    /// Takes news to the notes. Fails when the edge's binary does not even start.
    pub fn note(&mut self, event: FleetEvent) -> Result<(), FleetError> {
        while let Some(left) = self.leaving.try_join_next() {
            // A task that panicked leaves its port unused: there are others.
            self.leaving_ports.retain(|port| left.as_ref().ok() != Some(port));
        }
        match event {
            FleetEvent::Process(ProcessEvent { edge, incarnation, news }) => match news {
                ProcessNews::Listening(hello) => self.note_listening(&edge, incarnation, hello)?,
                // A binary that never started once in this run will not start the next time either.
                ProcessNews::Ended(error) if !self.has_listened && error.is_fatal() => return Err(error.into()),
                ProcessNews::Ended(error) => self.note_ended(&edge, &error),
            },
            FleetEvent::Readiness(ReadinessEvent { edge, incarnation, ready }) => {
                if let Some(edge) = self.living(&edge, incarnation) {
                    edge.observation.ready = ready;
                }
            }
            FleetEvent::Link(Report { target, incarnation, answer }) => {
                if let Some(edge) = self.living(&target, incarnation) {
                    edge.observation.note(answer, Some(&edge.wanted));
                }
            }
        }
        Ok(())
    }

    /// The edge, if this is still its process.
    fn living(&mut self, name: &str, incarnation: u64) -> Option<&mut Edge> {
        self.edges.get_mut(name).filter(|edge| edge.incarnation == Some(incarnation))
    }

    fn note_listening(&mut self, name: &str, incarnation: u64, hello: Hello) -> Result<(), FleetError> {
        self.has_listened = true;
        let Some(edge) = self.edges.get_mut(name) else { return Ok(()) };
        let events = self.readiness_events.0.clone();
        let probing = tokio::spawn(probe(name.to_owned(), incarnation, hello.admin, events));
        edge.probe = Some(AbortOnDropHandle::new(probing));
        edge.incarnation = Some(incarnation);
        edge.http = hello.http;
        edge.observation = EdgeObservation::starting(&edge.observation.zone, name);
        match hello.control {
            Some(address) => {
                let target = Target { name: name.to_owned(), incarnation, address, pin: edge.server_pin.clone() };
                self.links.hold(target, Arc::clone(&edge.wanted))?;
            }
            None => edge.observation.contact = Contact::Lost("it opened no control port".to_owned()),
        }
        edge.hello = Some(hello);
        Ok(())
    }

    fn note_ended(&mut self, name: &str, error: &ProcessError) {
        self.links.release(name);
        let Some(edge) = self.edges.get_mut(name) else { return };
        tracing::warn!("edge {name}: {error}; it is started again");
        edge.probe = None;
        edge.incarnation = None;
        edge.hello = None;
        edge.announced = false;
        let dead = EdgeObservation::starting(&edge.observation.zone, name);
        edge.observation = EdgeObservation { contact: Contact::Lost(error.to_string()), ..dead };
    }
}

impl Edge {
    /// It serves what is wanted and answers viewers.
    pub fn is_live(&self) -> bool {
        self.observation.ready && self.observation.is_configured(&self.wanted)
    }

    /// What it shall serve.
    pub fn wanted(&self) -> &Envelope {
        &self.wanted
    }
}

fn nth_port(first: SocketAddr, offset: usize) -> Result<SocketAddr, FleetError> {
    let port = u16::try_from(offset).ok().and_then(|offset| first.port().checked_add(offset));
    port.map(|port| SocketAddr::new(first.ip(), port)).ok_or(FleetError::NoPort(first))
}

fn arguments(folder: &EdgeFolder, edge: &EdgeProcess) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec!["run".into()];
    for (flag, path) in [("--boot", folder.boot()), ("--link", folder.link()), ("--state", folder.state())] {
        args.extend([flag.into(), path.into_os_string()]);
    }
    for flag in ["--control", "--admin"] {
        args.extend([flag.into(), "127.0.0.1:0".into()]);
    }
    args.extend(edge.args.iter().map(OsString::from));
    args
}
