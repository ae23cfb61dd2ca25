//! From nodes to zones: where edges can run, and for how long a zone without nodes is kept. Pure; takes the time.
//!
//! A zone is a value of the nodes' label `topology.kubernetes.io/zone`. Nodes without a value form the zone `default`,
//! so that clusters without zones work; a zone that is really called so is the same zone, whichever nodes come and go.
//! [`affinity`] says the same to the scheduler.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, NodeSelectorRequirement, NodeSelectorTerm, Taint, Toleration};

use crate::distribution::validate::WantedZone;

/// The label of nodes that names their zone.
pub const ZONE_LABEL: &str = "topology.kubernetes.io/zone";
/// The zone of nodes that name none.
pub const DEFAULT_ZONE: &str = "default";
/// Taints that come and go with the state of a node: it was cordoned, is not ready, is short of memory, is new.
const LIFECYCLE_TAINTS: [&str; 2] = ["node.kubernetes.io/", "node.cloudprovider.kubernetes.io/"];
/// Effects of taints that keep Pods away.
const REPELLING_EFFECTS: [&str; 2] = ["NoSchedule", "NoExecute"];

/// What the operator knows of a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeFacts {
    /// Its name.
    pub name: String,
    /// The value of its zone label, if it has one that is not empty.
    pub zone: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its taints, but for those of its state.
    pub taints: Vec<Taint>,
}

impl NodeFacts {
    /// The facts of a node. Equal ones mean that nothing changed which concerns edges, though the node reports often.
    pub fn read(node: &Node) -> Self {
        let labels = node.metadata.labels.clone().unwrap_or_default();
        let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
        Self {
            name: node.metadata.name.clone().unwrap_or_default(),
            zone: labels.get(ZONE_LABEL).filter(|zone| !zone.is_empty()).cloned(),
            labels,
            taints: taints.iter().filter(|taint| repels(taint)).cloned().collect(),
        }
    }

    /// Its zone.
    pub fn zone(&self) -> &str {
        self.zone.as_deref().unwrap_or(DEFAULT_ZONE)
    }

    fn takes(&self, tolerations: &[Toleration], node_selector: &BTreeMap<String, String>) -> bool {
        node_selector.iter().all(|(key, value)| self.labels.get(key) == Some(value))
            && self.taints.iter().filter(|taint| repels(taint)).all(|taint| is_tolerated(taint, tolerations))
    }
}

/// Zones with at least one node that edges with these tolerations and this node selector can run on.
pub fn eligible_zones<'a>(
    nodes: impl IntoIterator<Item = &'a NodeFacts>,
    tolerations: &[Toleration],
    node_selector: &BTreeMap<String, String>,
) -> BTreeSet<String> {
    let eligible = nodes.into_iter().filter(|node| node.takes(tolerations, node_selector));
    eligible.map(|node| node.zone().to_owned()).collect()
}

fn repels(taint: &Taint) -> bool {
    REPELLING_EFFECTS.contains(&taint.effect.as_str())
        && !LIFECYCLE_TAINTS.iter().any(|prefix| taint.key.starts_with(prefix))
}

/// The scheduler's rule (Kubernetes documentation, "Taints and Tolerations"): what a toleration leaves out matches
/// everything, but the value, which only `Exists` leaves open.
fn is_tolerated(taint: &Taint, tolerations: &[Toleration]) -> bool {
    let matches = |wanted: &Option<String>, actual: &str| wanted.as_deref().is_none_or(|w| w.is_empty() || w == actual);
    tolerations.iter().any(|toleration| {
        matches(&toleration.effect, &taint.effect)
            && matches(&toleration.key, &taint.key)
            && match toleration.operator.as_deref() {
                Some("Exists") => true,
                None | Some("" | "Equal") => {
                    toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default()
                }
                // Comparisons of numbers, which not every server has: without certainty there is no zone.
                Some(_) => false,
            }
    })
}

/// Which nodes are in a zone, as the scheduler takes it: one of these must hold.
pub fn affinity(zone: &str) -> Vec<NodeSelectorTerm> {
    let term = |operator: &str, values: Option<Vec<String>>| NodeSelectorTerm {
        match_expressions: Some(vec![NodeSelectorRequirement {
            key: ZONE_LABEL.to_owned(),
            operator: operator.to_owned(),
            values,
        }]),
        match_fields: None,
    };
    if zone == DEFAULT_ZONE {
        let unnamed = vec![String::new(), DEFAULT_ZONE.to_owned()];
        return vec![term("DoesNotExist", None), term("In", Some(unnamed))];
    }
    vec![term("In", Some(vec![zone.to_owned()]))]
}

/// What decides about the zones of a Distribution.
#[derive(Clone, Copy, Debug)]
pub struct ZoneFacts<'a> {
    /// Zones that its specification names.
    pub named: Option<&'a [WantedZone]>,
    /// Its [`eligible_zones`]; none before all nodes were read once.
    pub discovered: Option<&'a BTreeSet<String>>,
    /// Zones that it has Deployments in.
    pub existing: &'a BTreeSet<String>,
}

/// The zones that shall have edges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WantedZones {
    /// Their names: in the order of the specification, else sorted.
    pub zones: Vec<String>,
    /// Those among them without a node that takes edges.
    pub without_nodes: Vec<String>,
    /// No node of the cluster takes edges, and the specification names no zone: what exists is left alone.
    pub none_eligible: bool,
    /// When a zone will be given up unless a node of it appears; to be asked again then.
    pub expires_at: Option<Duration>,
}

/// Since when each zone of one Distribution is without nodes. Lives as long as the operator: after a restart, zones that
/// have Deployments count as if they had nodes until then, so a restart never removes one.
#[derive(Clone, Debug)]
pub struct ZoneMemory {
    grace: Duration,
    /// Zones that have edges, or shall have; the time since when one has no node.
    known: BTreeMap<String, Option<Duration>>,
    /// Since when nothing can be told from the nodes.
    blind_since: Option<Duration>,
}

impl ZoneMemory {
    /// Nothing seen yet. A discovered zone is kept for `grace` without a node.
    pub fn new(grace: Duration) -> Self {
        Self { grace, known: BTreeMap::new(), blind_since: None }
    }

    /// The zones wanted at `now`, a time that never goes back. To be asked whenever the facts change.
    pub fn wanted(&mut self, facts: &ZoneFacts<'_>, now: Duration) -> WantedZones {
        if let Some(named) = facts.named {
            // Forgotten, so that a specification that stops naming zones begins with a full grace.
            *self = Self::new(self.grace);
            let zones: Vec<_> = named.iter().map(|zone| zone.name.clone()).collect();
            return WantedZones { without_nodes: without_nodes(&zones, facts), zones, ..Default::default() };
        }
        self.look(facts, now);
        let is_kept = |missing: Option<Duration>| missing.is_none_or(|since| now.saturating_sub(since) < self.grace);
        // A zone that was given up is remembered until its Deployment is gone, else that would make it known again.
        self.known.retain(|zone, missing| is_kept(*missing) || facts.existing.contains(zone));
        let kept = || self.known.iter().filter(|(_, missing)| is_kept(**missing));
        let zones: Vec<_> = kept().map(|(zone, _)| zone.clone()).collect();
        let first_missing = kept().filter_map(|(_, missing)| *missing).min();
        WantedZones {
            without_nodes: without_nodes(&zones, facts),
            zones,
            none_eligible: facts.discovered.is_some_and(BTreeSet::is_empty),
            expires_at: first_missing.filter(|_| self.blind_since.is_none()).map(|since| since + self.grace),
        }
    }

    fn look(&mut self, facts: &ZoneFacts<'_>, now: Duration) {
        // That nodes are not known, or all gone, says nothing about one zone: meanwhile time stands still.
        if let Some(since) = self.blind_since.take() {
            let pause = now.saturating_sub(since);
            self.known.values_mut().flatten().for_each(|since| *since += pause);
        }
        for zone in facts.existing {
            self.known.entry(zone.clone()).or_insert(None);
        }
        let Some(discovered) = facts.discovered.filter(|zones| !zones.is_empty()) else {
            self.blind_since = Some(now);
            return;
        };
        for (zone, missing) in &mut self.known {
            if !discovered.contains(zone) {
                missing.get_or_insert(now);
            }
        }
        self.known.extend(discovered.iter().map(|zone| (zone.clone(), None)));
    }
}

fn without_nodes(zones: &[String], facts: &ZoneFacts<'_>) -> Vec<String> {
    let Some(discovered) = facts.discovered else { return Vec::new() };
    zones.iter().filter(|zone| !discovered.contains(*zone)).cloned().collect()
}

/// Why no edge can run in a zone, for its status.
pub fn no_node_text(zone: &str) -> String {
    let what = match zone {
        DEFAULT_ZONE => format!("is without {ZONE_LABEL}"),
        _ => format!("has {ZONE_LABEL}={zone}"),
    };
    format!("no node that edges may run on {what}; see edge.nodeSelector, edge.tolerations and the nodes' taints")
}

#[cfg(test)]
mod tests;
