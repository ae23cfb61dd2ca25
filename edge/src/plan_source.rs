//! What is configured: boot copy, state file and live pushes in, one compiled [`Plan`] out.
//!
//! The plan in force is swapped atomically and never becomes invalid: what cannot be compiled changes nothing. A pushed
//! configuration is in force only after it is in the state file, so that a restarted edge cannot fall back behind what
//! it has acknowledged. This module does not talk to anybody; `control` does.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use proxima_edge_core::edge_config::EdgeConfig;
use proxima_edge_core::limits;
use proxima_edge_core::link::{Envelope, LinkRefusal, LinkRefusalReason, Serving};
use proxima_edge_core::plan::{Plan, Problem, unknown_features};

use crate::clock::Clock;
use crate::metrics::Metrics;

pub mod readiness;
pub mod state_file;

use readiness::{Readiness, ReadyFacts};
pub(crate) use state_file::raw_config;
use state_file::{Loaded, State};

/// The configuration in force, and how it came to be.
pub struct PlanSource {
    plan: ArcSwapOption<Plan>,
    epoch: AtomicU64,
    /// Held while a message of an operator is judged, so that they take effect one after the other.
    link: Mutex<Link>,
    clock: Clock,
    metrics: Arc<Metrics>,
}

/// What the link has to remember.
struct Link {
    /// None under `serve`: nobody can change the configuration.
    state_path: Option<PathBuf>,
    state: Option<State>,
    highest_term: u64,
    facts: ReadyFacts,
}

/// Why the process cannot start with what it was given.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// `--config` cannot be read.
    #[error("could not read --config {path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        error: std::io::Error,
    },
    /// `--config` is not an `EdgeConfig`.
    #[error("could not understand --config {path}: {error}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// The cause, with line and column.
        error: serde_json::Error,
    },
    /// `--config` cannot be served.
    #[error("could not serve --config {path}: {problems}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// All problems.
        problems: String,
    },
}

impl PlanSource {
    /// For `serve`: one file, in force at once.
    pub fn from_file(path: &Path, clock: Clock, metrics: Arc<Metrics>) -> Result<Self, OpenError> {
        let bytes = std::fs::read(path).map_err(|error| OpenError::Read { path: path.to_owned(), error })?;
        let config: EdgeConfig =
            serde_json::from_slice(&bytes).map_err(|error| OpenError::Parse { path: path.to_owned(), error })?;
        let plan = compile(&config)
            .map_err(|refusal| OpenError::Invalid { path: path.to_owned(), problems: refusal.detail })?;
        let source = Self::empty(None, clock, metrics);
        {
            let mut link = source.link();
            link.facts = ReadyFacts { alone: true, configured: true, ..ReadyFacts::default() };
        }
        source.put_in_force(plan, 0, 0);
        Ok(source)
    }

    /// For `run`: the newer of boot copy and state file, if either is any good; else nothing until an operator speaks.
    pub fn open(boot: &Path, state: &Path, clock: Clock, metrics: Arc<Metrics>) -> Self {
        let boot_copy = state_file::load(&boot.join("config.json"), "boot copy");
        let state_path = state.join("state.json");
        let state_copy = state_file::load(&state_path, "state file");
        let source = Self::empty(Some(state_path), clock, metrics);
        source.start_with(state_file::candidates(boot_copy, state_copy));
        source
    }

    fn empty(state_path: Option<PathBuf>, clock: Clock, metrics: Arc<Metrics>) -> Self {
        let facts = ReadyFacts { alone_since: clock.uptime(), ..ReadyFacts::default() };
        Self {
            plan: ArcSwapOption::empty(),
            epoch: AtomicU64::new(0),
            link: Mutex::new(Link { state_path, state: None, highest_term: 0, facts }),
            clock,
            metrics,
        }
    }

    fn start_with(&self, candidates: Vec<Loaded>) {
        let mut link = self.link();
        link.highest_term = candidates.iter().map(|copy| copy.state.highest_term).max().unwrap_or(0);
        for Loaded { what, state } in candidates {
            let envelope = &state.envelope;
            match compile(&envelope.config) {
                Ok(plan) => {
                    tracing::info!(copy = what, uid = %envelope.uid, revision = envelope.revision, "configuration found");
                    link.facts.configured = true;
                    self.put_in_force(plan, envelope.revision, envelope.epoch);
                    link.state = Some(State { highest_term: link.highest_term, ..state });
                    return;
                }
                Err(refusal) => {
                    tracing::error!(copy = what, detail = %refusal.detail, "could not use a copy of the configuration");
                }
            }
        }
        tracing::warn!("no valid configuration; waiting for an operator");
    }

    /// The plan in force; none before the first valid configuration.
    pub fn current(&self) -> Option<Arc<Plan>> {
        self.plan.load_full()
    }

    /// The invalidation epoch. Read it before a request goes to the origin.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Identity of what is served, for the operator.
    pub fn serving(&self) -> Option<Serving> {
        self.link().state.as_ref().map(|state| serving(&state.envelope))
    }

    /// Judges a configuration, and on success writes it down and puts it in force. `raw` is the text of the
    /// configuration as it came, for the content hash. Blocks on the disk.
    pub fn install(&self, mut envelope: Envelope, raw: Option<&str>) -> Result<(), LinkRefusal> {
        let mut link = self.link();
        link.judge_term(envelope.term)?;
        link.judge_identity(&envelope)?;
        let revision = envelope.revision;
        // What was invalidated stays so, whatever a message says.
        envelope.epoch = envelope.epoch.max(self.epoch());
        let term = envelope.term;
        let state = State::new(envelope, raw, term).ok_or_else(|| {
            let detail = format!("the content of revision {revision} does not match its hash");
            refusal(LinkRefusalReason::HashMismatch, detail)
        })?;
        let plan = compile(&state.envelope.config)?;
        if link.state.as_ref() != Some(&state) {
            link.write(&state)?;
            self.put_in_force(plan, state.envelope.revision, state.envelope.epoch);
        }
        link.highest_term = state.highest_term;
        link.facts.configured = true;
        link.facts.confirmed = true;
        link.state = Some(state);
        Ok(())
    }

    /// The operator says what it believes to be current. Remembers its term, so that an older one is refused from now
    /// on, after a restart too. Blocks on the disk when the term is a new one.
    pub fn ping(&self, term: u64, revision: u64, epoch: u64) -> Result<(), LinkRefusal> {
        let mut link = self.link();
        link.judge_term(term)?;
        if term > link.highest_term {
            link.remember_term(term)?;
        }
        let matches = |state: &State| state.envelope.revision == revision && state.envelope.epoch == epoch;
        if link.state.as_ref().is_some_and(matches) {
            link.facts.confirmed = true;
        }
        Ok(())
    }

    /// An operator has connected.
    pub fn operator_connected(&self) {
        self.link().facts.operators += 1;
        self.metrics.link_connections.inc();
    }

    /// An operator has gone.
    pub fn operator_gone(&self) {
        let now = self.clock.uptime();
        let mut link = self.link();
        link.facts.operators = link.facts.operators.saturating_sub(1);
        link.facts.alone_since = now;
        self.metrics.link_connections.dec();
    }

    /// Whether viewers should be sent here.
    pub fn readiness(&self, draining: bool) -> Readiness {
        let now: Duration = self.clock.uptime();
        let mut link = self.link();
        let answer = readiness::judge(&link.facts, draining, now);
        if answer == Readiness::ReadyWithoutOperator && !link.facts.ready_alone {
            link.facts.ready_alone = true;
            self.metrics.ready_without_operator.inc();
            tracing::warn!(grace = ?limits::BOOT_GRACE, "ready with the boot copy: no operator has connected");
        }
        self.metrics.ready.set(i64::from(answer.is_ready()));
        answer
    }

    fn put_in_force(&self, plan: Plan, revision: u64, epoch: u64) {
        let seconds = self.clock.now().as_millis() / 1_000;
        self.metrics.revision.set(number(revision));
        self.metrics.epoch.set(number(epoch));
        self.metrics.configured_at.set(number(seconds));
        self.epoch.fetch_max(epoch, Ordering::AcqRel);
        self.plan.store(Some(Arc::new(plan)));
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        // Every change below is complete before a step that could panic, so a poisoned value is a good one.
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    fn judge_term(&self, term: u64) -> Result<(), LinkRefusal> {
        if term < self.highest_term {
            let detail = format!("term {term} is lower than {}, which has already spoken", self.highest_term);
            return Err(refusal(LinkRefusalReason::LowerTerm, detail));
        }
        Ok(())
    }

    fn judge_identity(&self, envelope: &Envelope) -> Result<(), LinkRefusal> {
        if let Some(State { envelope: served, .. }) = &self.state {
            if served.uid != envelope.uid {
                let detail = format!("this edge serves {}, not {}", served.uid, envelope.uid);
                return Err(refusal(LinkRefusalReason::WrongDistribution, detail));
            }
            if served.term == envelope.term && envelope.revision < served.revision {
                let detail =
                    format!("revision {} is lower than {} of the same term", envelope.revision, served.revision);
                return Err(refusal(LinkRefusalReason::LowerRevision, detail));
            }
        }
        Ok(())
    }

    fn remember_term(&mut self, term: u64) -> Result<(), LinkRefusal> {
        if let Some(state) = &self.state {
            let state = State { highest_term: term, ..state.clone() };
            self.write(&state)?;
            self.state = Some(state);
        }
        self.highest_term = term;
        Ok(())
    }

    fn write(&self, state: &State) -> Result<(), LinkRefusal> {
        let Some(path) = &self.state_path else { return Ok(()) };
        state_file::write(path, state).map_err(|error| {
            refusal(LinkRefusalReason::StateNotWritten, format!("could not write {}: {error}", path.display()))
        })
    }
}

/// Proves a configuration, features first: what this build does not know it must not half honour.
fn compile(config: &EdgeConfig) -> Result<Plan, LinkRefusal> {
    let unknown = unknown_features(config);
    if !unknown.is_empty() {
        let detail = format!("this edge does not know: {}", unknown.join(", "));
        return Err(refusal(LinkRefusalReason::UnknownFeature, detail));
    }
    Plan::compile(config).map_err(|problems| refusal(LinkRefusalReason::Invalid, list(&problems)))
}

fn list(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    lines.join("; ")
}

fn serving(envelope: &Envelope) -> Serving {
    Serving {
        uid: envelope.uid.clone(),
        revision: envelope.revision,
        epoch: envelope.epoch,
        hash: envelope.hash.clone(),
    }
}

pub(crate) fn refusal(reason: LinkRefusalReason, detail: impl Into<String>) -> LinkRefusal {
    LinkRefusal { reason, detail: detail.into() }
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
