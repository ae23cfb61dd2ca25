//! Stage five: what is true of a Distribution, from what its edges answered. Pure; takes the time.
//!
//! Says "deployed" only of edges that said so themselves and are still answering.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use proxima_crds::conditions::{ConditionType, Reason};
use proxima_crds::v1alpha1::{Address, DistributionStatus, ZoneStatus};
use proxima_edge_core::link::{Envelope, LinkRefusal, Serving};

use super::build::DesiredZone;
use crate::link::connection::serves;

/// Edges that a message describes one by one; the rest are counted.
const EDGES_NAMED: usize = 4;

/// What is known of a Distribution.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// What its edges shall serve.
    pub wanted: &'a Envelope,
    /// Where its edges shall be.
    pub zones: &'a [DesiredZone],
    /// Its edges.
    pub edges: Vec<&'a EdgeObservation>,
    /// What is wrong with the newest manifest; empty when `wanted` is made from it.
    pub problems: Vec<Refused>,
    /// Where viewers reach the edges.
    pub addresses: Vec<Address>,
}

/// A problem of the manifest, ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its reason.
    pub reason: Reason,
    /// Place, field and message.
    pub text: String,
}

/// What is known of one edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeObservation {
    /// Its zone.
    pub zone: String,
    /// Counts from 0 within the zone.
    pub replica: u32,
    /// It answers viewers.
    pub ready: bool,
    /// Whether it can be talked to.
    pub contact: Contact,
    /// What it said last that it serves.
    pub serving: Option<Serving>,
    /// Why it refused what it was sent last.
    pub refused: Option<LinkRefusal>,
}

/// Whether an edge can be talked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contact {
    /// It was started a moment ago.
    Starting,
    /// It answers.
    Answering,
    /// It owes an answer.
    Silent,
    /// It cannot be reached, for this reason.
    Lost(String),
}

impl EdgeObservation {
    /// An edge of which nothing is known.
    pub fn starting(zone: &str, replica: u32) -> Self {
        let (contact, zone) = (Contact::Starting, zone.to_owned());
        Self { zone, replica, ready: false, contact, serving: None, refused: None }
    }

    /// It serves `wanted`, and answers when asked.
    pub fn is_configured(&self, wanted: &Envelope) -> bool {
        self.contact == Contact::Answering && serves(self.serving.as_ref(), wanted)
    }

    /// Why it is not configured, and the reason that goes with it; the worst reason has the highest rank.
    fn lag(&self, wanted: &Envelope) -> (Reason, String) {
        let (reason, what) = match (&self.contact, &self.refused) {
            (Contact::Silent, _) => (Reason::EdgesUnreachable, "does not answer".to_owned()),
            (Contact::Lost(why), _) => (Reason::EdgesUnreachable, format!("cannot be reached: {why}")),
            (Contact::Starting, _) => (Reason::EdgesPending, "is starting".to_owned()),
            (Contact::Answering, Some(refusal)) => {
                let LinkRefusal { reason, detail } = refusal;
                (Reason::EdgesRefuse, format!("refuses revision {} ({}): {detail}", wanted.revision, reason.as_str()))
            }
            (Contact::Answering, None) => (Reason::EdgesPending, "has not confirmed it yet".to_owned()),
        };
        let serving = match &self.serving {
            Some(serving) => format!("revision {}", serving.revision),
            None => "nothing".to_owned(),
        };
        (reason, format!("zone {}: edge {} {what} (last known to serve {serving})", self.zone, self.replica))
    }
}

/// The status of a Distribution; `previous` is the one before, whose transition times are kept.
pub fn status(observed: &Observed<'_>, previous: Option<&DistributionStatus>, now: Timestamp) -> DistributionStatus {
    let zones: Vec<_> = observed.zones.iter().map(|zone| zone_status(observed, zone)).collect();
    let desired: u32 = zones.iter().map(|zone| zone.desired).sum();
    let configured: u32 = zones.iter().map(|zone| zone.configured).sum();
    let edges = format!("{configured}/{desired}");
    let verdicts = [
        (ConditionType::Accepted, accepted(observed)),
        (ConditionType::Deployed, deployed(observed, &edges)),
        (ConditionType::Ready, ready(observed, &edges)),
    ];
    let before = previous.map(|status| status.conditions.as_slice()).unwrap_or_default();
    let conditions = verdicts.into_iter().map(|(kind, verdict)| {
        condition(kind, verdict, before.iter().find(|condition| condition.type_ == kind.as_str()), observed, now)
    });
    DistributionStatus {
        observed_generation: Some(observed.wanted.generation),
        conditions: conditions.collect(),
        revision: Some(observed.wanted.revision.to_string()),
        domain_name: None,
        addresses: observed.addresses.clone(),
        edges: Some(edges),
        zones,
    }
}

/// Status, reason and message of one condition.
struct Verdict {
    holds: bool,
    reason: Reason,
    message: String,
}

fn zone_status(observed: &Observed<'_>, zone: &DesiredZone) -> ZoneStatus {
    let count = |edges: &mut dyn Iterator<Item = &EdgeObservation>| u32::try_from(edges.count()).unwrap_or(u32::MAX);
    let edges = || observed.edges.iter().copied().filter(|edge| edge.zone == zone.name);
    ZoneStatus {
        name: zone.name.clone(),
        desired: zone.replicas,
        ready: count(&mut edges().filter(|edge| edge.ready)),
        configured: count(&mut edges().filter(|edge| edge.is_configured(observed.wanted))),
        revision: edges()
            .filter_map(|edge| edge.serving.as_ref())
            .map(|serving| serving.revision)
            .min()
            .map(|revision| revision.to_string()),
    }
}

fn accepted(observed: &Observed<'_>) -> Verdict {
    let Some(first) = observed.problems.first() else {
        let message = "the specification is valid".to_owned();
        return Verdict { holds: true, reason: Reason::Valid, message };
    };
    let texts: Vec<_> = observed.problems.iter().map(|problem| problem.text.as_str()).collect();
    Verdict { holds: false, reason: first.reason, message: texts.join("; ") }
}

/// The verdict of both other conditions while the newest manifest is refused: it is nowhere, the last good one serves.
fn not_accepted(observed: &Observed<'_>, edges: &str) -> Option<Verdict> {
    let revision = observed.wanted.revision;
    let message = format!("the manifest is not accepted; revision {revision} serves on {edges} edges");
    (!observed.problems.is_empty()).then_some(Verdict { holds: false, reason: Reason::NotAccepted, message })
}

fn deployed(observed: &Observed<'_>, edges: &str) -> Verdict {
    if let Some(verdict) = not_accepted(observed, edges) {
        return verdict;
    }
    let wanted = observed.wanted;
    let mut lags: Vec<_> =
        observed.edges.iter().filter(|edge| !edge.is_configured(wanted)).map(|edge| edge.lag(wanted)).collect();
    if lags.is_empty() {
        let message = format!("revision {} is live on {edges} edges", wanted.revision);
        return Verdict { holds: true, reason: Reason::EdgesCurrent, message };
    }
    // A refusal needs a person, an absence may, and waiting helps with the rest: the worst comes first.
    lags.sort_by_key(|(reason, _)| match reason {
        Reason::EdgesRefuse => 0,
        Reason::EdgesUnreachable => 1,
        _ => 2,
    });
    let reason = lags[0].0;
    Verdict { holds: false, reason, message: listed(lags.into_iter().map(|(_, text)| text).collect()) }
}

fn ready(observed: &Observed<'_>, edges: &str) -> Verdict {
    if let Some(verdict) = not_accepted(observed, edges) {
        return verdict;
    }
    let is_served = |zone: &&DesiredZone| {
        let mut edges = observed.edges.iter().filter(|edge| edge.zone == zone.name);
        edges.any(|edge| edge.ready && edge.is_configured(observed.wanted))
    };
    let unserved: Vec<_> =
        observed.zones.iter().filter(|zone| !is_served(zone)).map(|zone| zone.name.clone()).collect();
    if unserved.is_empty() {
        let message = "every zone has a ready edge on the current revision".to_owned();
        return Verdict { holds: true, reason: Reason::ZonesReady, message };
    }
    let message = format!("no ready edge on revision {} in zone {}", observed.wanted.revision, unserved.join(", "));
    Verdict { holds: false, reason: Reason::ZonesNotReady, message }
}

fn listed(mut texts: Vec<String>) -> String {
    let more = texts.len().saturating_sub(EDGES_NAMED);
    texts.truncate(EDGES_NAMED);
    if more > 0 {
        texts.push(format!("and {more} more"));
    }
    texts.join("; ")
}

fn condition(
    kind: ConditionType,
    verdict: Verdict,
    before: Option<&Condition>,
    observed: &Observed<'_>,
    now: Timestamp,
) -> Condition {
    let status = if verdict.holds { "True" } else { "False" };
    let since = before.filter(|condition| condition.status == status).map(|condition| condition.last_transition_time.0);
    Condition {
        type_: kind.as_str().to_owned(),
        status: status.to_owned(),
        reason: verdict.reason.as_str().to_owned(),
        message: verdict.message,
        observed_generation: Some(observed.wanted.generation),
        last_transition_time: Time(since.unwrap_or(now)),
    }
}

#[cfg(test)]
mod tests;
