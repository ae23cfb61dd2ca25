//! Stage five: what is true of a Distribution, from what its edges answered and what became of its objects. Pure; takes
//! the time.
//!
//! Says "deployed" only of edges that said so themselves and are still answering.

mod verdicts;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use proxima_crds::conditions::{ConditionType, Reason};
use proxima_crds::v1alpha1::{Address, DistributionStatus, ZoneStatus};
use proxima_edge_core::link::{Envelope, LinkRefusal, Serving};

use self::verdicts::{Verdict, accepted, deployed, ready};
use super::build::DesiredZone;
use super::validate::ServiceKind;
use crate::link::Answer;
use crate::link::connection::serves;

/// What is known of a Distribution.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// Generation of the object that was judged.
    pub generation: i64,
    /// What its edges shall serve: the last that was accepted. Absent while nothing ever was.
    pub wanted: Option<&'a Envelope>,
    /// Where its edges shall be.
    pub zones: &'a [DesiredZone],
    /// Its edges: everything that may serve viewers.
    pub edges: Vec<&'a EdgeObservation>,
    /// What is wrong with the newest manifest; empty when `wanted` is made from it.
    pub problems: Vec<Refused>,
    /// Where viewers reach the edges.
    pub addresses: Vec<Address>,
    /// Name under which viewers inside the cluster reach them.
    pub domain_name: Option<String>,
    /// What keeps edges from running.
    pub troubles: Vec<ZoneTrouble>,
    /// What kind of Service is in front of them.
    pub service: ServiceKind,
    /// No node of the cluster takes edges.
    pub none_eligible: bool,
    /// Objects that could not be made since their names are taken.
    pub conflicts: Vec<Refused>,
    /// What else went wrong while objects were written.
    pub failure: Option<String>,
}

/// What keeps edges of a zone from running, in the words of those who know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneTrouble {
    /// The zone.
    pub zone: String,
    /// Ready to be shown.
    pub text: String,
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
    /// Its name: that of the Pod or process.
    pub name: String,
    /// It was asked to end: it may still serve viewers, and counts for nothing else.
    pub is_terminating: bool,
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
    pub fn starting(zone: &str, name: &str) -> Self {
        let (zone, name, contact) = (zone.to_owned(), name.to_owned(), Contact::Starting);
        Self { zone, name, is_terminating: false, ready: false, contact, serving: None, refused: None }
    }

    /// It serves `wanted`, and answers when asked.
    pub fn is_configured(&self, wanted: &Envelope) -> bool {
        self.contact == Contact::Answering && serves(self.serving.as_ref(), wanted)
    }

    /// Takes an answer to the notes; `wanted` is what the edge shall serve now.
    pub fn note(&mut self, answer: Answer, wanted: Option<&Envelope>) {
        match answer {
            Answer::Said(said) => {
                self.contact = Contact::Answering;
                self.serving = said.serving;
                // A ping is never refused for what it asks for: the refusal of a configuration stands until the edge
                // serves what is wanted, or something else is wanted.
                if said.refused.is_some() {
                    self.refused = said.refused;
                } else if wanted.is_some_and(|wanted| self.is_configured(wanted)) {
                    self.refused = None;
                }
            }
            Answer::Silent => self.contact = Contact::Silent,
            Answer::Lost(why) => self.contact = Contact::Lost(why),
        }
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
        observed_generation: Some(observed.generation),
        conditions: conditions.collect(),
        // The counter goes on above it when the boot copy is lost, so it is not forgotten for want of one.
        revision: observed
            .wanted
            .map(|wanted| wanted.revision.to_string())
            .or_else(|| previous.and_then(|previous| previous.revision.clone())),
        domain_name: observed.domain_name.clone(),
        addresses: observed.addresses.clone(),
        edges: Some(edges),
        zones,
    }
}

impl Observed<'_> {
    /// Edges in this zone.
    fn in_zone<'a>(&'a self, zone: &'a DesiredZone) -> impl Iterator<Item = &'a EdgeObservation> {
        self.edges.iter().copied().filter(move |edge| edge.zone == zone.name)
    }

    /// Edges that shall stay in this zone.
    fn staying_in<'a>(&'a self, zone: &'a DesiredZone) -> impl Iterator<Item = &'a EdgeObservation> {
        self.in_zone(zone).filter(|edge| !edge.is_terminating)
    }

    /// Whether this edge serves what all shall serve.
    fn is_configured(&self, edge: &EdgeObservation) -> bool {
        self.wanted.is_some_and(|wanted| edge.is_configured(wanted))
    }
}

fn zone_status(observed: &Observed<'_>, zone: &DesiredZone) -> ZoneStatus {
    let staying = |counts: &dyn Fn(&EdgeObservation) -> bool| {
        u32::try_from(observed.staying_in(zone).filter(|edge| counts(edge)).count()).unwrap_or(u32::MAX)
    };
    let revisions = observed.in_zone(zone).filter_map(|edge| edge.serving.as_ref()).map(|serving| serving.revision);
    ZoneStatus {
        name: zone.name.clone(),
        desired: zone.replicas,
        ready: staying(&|edge| edge.ready),
        configured: staying(&|edge| observed.is_configured(edge)),
        revision: revisions.min().map(|revision| revision.to_string()),
    }
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
        observed_generation: Some(observed.generation),
        last_transition_time: Time(since.unwrap_or(now)),
    }
}

#[cfg(test)]
mod tests;
