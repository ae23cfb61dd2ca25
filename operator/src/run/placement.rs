//! What the operator remembers of each Distribution between two reconciles: its zones, and its failures.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::index::Index;
use crate::backoff::Backoff;
use crate::distribution::build::{DesiredZone, cluster_zones};
use crate::distribution::gather::ObjectName;
use crate::distribution::validate::Validated;
use crate::zones::{WantedZones, ZoneFacts, ZoneMemory, eligible_zones};
use crate::{clock, labels, limits};

/// Where the edges of a Distribution shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The zones.
    pub zones: Vec<DesiredZone>,
    /// Those in which no node can run an edge.
    pub empty_zones: Vec<String>,
    /// No node can run an edge anywhere.
    pub none_eligible: bool,
    /// When a zone may be given up.
    pub look_again: Option<Duration>,
}

/// The zones of every Distribution.
pub struct Placements {
    grace: Duration,
    memories: Mutex<BTreeMap<ObjectName, ZoneMemory>>,
}

impl Placements {
    /// Nothing is known yet. A discovered zone is kept for `grace` without a node.
    pub fn new(grace: Duration) -> Self {
        Self { grace, memories: Mutex::default() }
    }

    /// Where the edges of a Distribution shall be at this moment.
    pub fn place(&self, name: &ObjectName, validated: &Validated, index: &Index) -> Placement {
        let (discovered, existing) = known_zones(name, validated, index);
        let facts =
            ZoneFacts { named: validated.zones.as_deref(), discovered: discovered.as_ref(), existing: &existing };
        let now = clock::uptime();
        let wanted =
            lock(&self.memories).entry(name.clone()).or_insert_with(|| ZoneMemory::new(self.grace)).wanted(&facts, now);
        let WantedZones { zones, without_nodes, none_eligible, expires_at } = wanted;
        Placement {
            zones: cluster_zones(validated, zones),
            empty_zones: without_nodes,
            none_eligible,
            look_again: expires_at.map(|at| at.saturating_sub(now)),
        }
    }

    /// The Distribution is gone.
    pub fn forget(&self, name: &ObjectName) {
        lock(&self.memories).remove(name);
    }
}

/// Zones that nodes are in, once they were read, and zones that Deployments are in.
fn known_zones(
    name: &ObjectName,
    validated: &Validated,
    index: &Index,
) -> (Option<BTreeSet<String>>, BTreeSet<String>) {
    let state = index.state();
    let nodes = state.nodes.all().map(|(_, node)| node);
    let eligible = state
        .nodes
        .is_synced()
        .then(|| eligible_zones(nodes, &validated.pods.tolerations, &validated.pods.node_selector));
    let existing = state.deployments_of(name).into_values().filter_map(|deployment| {
        let is_going = deployment.metadata.deletion_timestamp.is_some();
        deployment.metadata.labels.as_ref()?.get(labels::ZONE).filter(|_| !is_going).cloned()
    });
    (eligible, existing.collect())
}

/// Pauses after failures, for each Distribution its own.
#[derive(Default)]
pub struct Backoffs(Mutex<BTreeMap<ObjectName, Backoff>>);

impl Backoffs {
    /// How long to wait before the next attempt.
    pub fn pause(&self, name: &ObjectName) -> Duration {
        let new = || Backoff::new(limits::RECONCILE_RETRY_MIN, limits::RECONCILE_RETRY_MAX);
        lock(&self.0).entry(name.clone()).or_insert_with(new).pause(clock::fraction())
    }

    /// It worked, or is gone.
    pub fn forget(&self, name: &ObjectName) {
        lock(&self.0).remove(name);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each entry is replaced whole, so what a panicking thread left is consistent.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
