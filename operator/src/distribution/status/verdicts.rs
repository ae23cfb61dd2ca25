//! The three conditions: whether each holds, and the one reason and few texts that say why not.

use proxima_crds::conditions::Reason;
use proxima_edge_core::link::LinkRefusal;

use super::{Contact, DesiredZone, EdgeObservation, Observed, Refused, ServiceKind};
use crate::limits;

/// Status, reason and message of one condition.
pub(super) struct Verdict {
    pub(super) holds: bool,
    pub(super) reason: Reason,
    pub(super) message: String,
}

impl Verdict {
    fn yes(reason: Reason, message: String) -> Self {
        Self { holds: true, reason, message }
    }

    fn no(reason: Reason, message: String) -> Self {
        Self { holds: false, reason, message: cut(message, limits::CONDITION_MESSAGE_BYTES) }
    }
}

/// Accepted: this generation is valid and what it refers to exists.
pub(super) fn accepted(observed: &Observed<'_>) -> Verdict {
    let Some(first) = observed.problems.first() else {
        return Verdict::yes(Reason::Valid, "the specification is valid".to_owned());
    };
    Verdict { holds: false, reason: first.reason, message: all_of(&observed.problems) }
}

/// Every problem in full, as far as a condition can hold them; the rest are counted.
fn all_of(problems: &[Refused]) -> String {
    let mut message = String::new();
    for (index, problem) in problems.iter().enumerate() {
        let text = cut(problem.text.clone(), limits::CONDITION_MESSAGE_BYTES);
        if message.len() + text.len() > limits::PROBLEMS_BYTES {
            message.push_str(&format!("; and {} more", problems.len() - index));
            break;
        }
        if index > 0 {
            message.push_str("; ");
        }
        message.push_str(&text);
    }
    message
}

/// The verdict of both other conditions while the newest manifest is refused: it is nowhere, the last good one serves.
fn not_accepted(observed: &Observed<'_>, edges: &str) -> Option<Verdict> {
    if observed.problems.is_empty() {
        return None;
    }
    let serves = match observed.wanted {
        Some(wanted) => format!("revision {} serves on {edges} edges", wanted.revision),
        None => "nothing was accepted before".to_owned(),
    };
    Some(Verdict::no(Reason::NotAccepted, format!("the specification is not accepted; {serves}")))
}

/// Deployed: everything that may serve viewers in the wanted zones serves this generation, and nothing is missing.
pub(super) fn deployed(observed: &Observed<'_>, edges: &str) -> Verdict {
    if let Some(verdict) = not_accepted(observed, edges) {
        return verdict;
    }
    let mut lags = lags(observed);
    // What needs a person first, what helps itself last; in that order as found, which is zone by zone.
    lags.sort_by_key(|lag| urgency(lag.reason));
    match lags.first() {
        Some(first) => Verdict::no(first.reason, listed(lags.iter().map(|lag| &lag.text))),
        None => Verdict::yes(Reason::EdgesCurrent, format!("revision {} is live on {edges} edges", revision(observed))),
    }
}

/// The revision that edges are told to serve; 0 before the first.
fn revision(observed: &Observed<'_>) -> u64 {
    observed.wanted.map_or(0, |wanted| wanted.revision)
}

fn urgency(reason: Reason) -> u8 {
    match reason {
        Reason::ChildConflict | Reason::PredecessorTerminating => 0,
        Reason::EdgesRefuse => 1,
        Reason::NotApplied => 2,
        Reason::NoEligibleZone => 3,
        Reason::PodsFailing => 4,
        Reason::EdgesUnreachable => 5,
        _ => 6,
    }
}

/// One thing that keeps a Distribution from being deployed.
struct Lag {
    reason: Reason,
    text: String,
}

impl Lag {
    fn new(reason: Reason, text: String) -> Self {
        Self { reason, text }
    }
}

fn lags(observed: &Observed<'_>) -> Vec<Lag> {
    let mut lags: Vec<_> =
        observed.conflicts.iter().map(|Refused { reason, text }| Lag::new(*reason, text.clone())).collect();
    lags.extend(observed.failure.clone().map(|text| Lag::new(Reason::NotApplied, text)));
    if observed.zones.is_empty() {
        let (reason, text) = no_zone(observed);
        lags.push(Lag::new(reason, text));
    }
    if let Some(text) = behind(observed) {
        lags.push(Lag::new(Reason::EdgesPending, text));
        return lags;
    }
    lags.extend(observed.zones.iter().flat_map(|zone| zone_lags(observed, zone)));
    lags
}

/// Why there is nowhere to run an edge.
fn no_zone(observed: &Observed<'_>) -> (Reason, String) {
    if observed.none_eligible {
        let text =
            "there is no node that edges may run on; see edge.nodeSelector, edge.tolerations and the taints of nodes";
        return (Reason::NoEligibleZone, text.to_owned());
    }
    (Reason::EdgesPending, "the zones of the cluster are not known yet".to_owned())
}

/// What edges are told is not made from the generation that is judged.
fn behind(observed: &Observed<'_>) -> Option<String> {
    let generation = observed.generation;
    match observed.wanted {
        None => Some("no configuration was deployed yet".to_owned()),
        Some(wanted) if wanted.generation != generation => {
            let revision = wanted.revision;
            Some(format!("generation {generation} is not deployed yet; revision {revision} is of another one"))
        }
        Some(_) => None,
    }
}

fn zone_lags(observed: &Observed<'_>, zone: &DesiredZone) -> Vec<Lag> {
    let lagging = observed.in_zone(zone).filter(|edge| !observed.is_configured(edge));
    let mut lags: Vec<_> = lagging.map(|edge| lag(edge, observed)).collect();
    let (there, desired) = (observed.staying_in(zone).count(), zone.replicas as usize);
    if there < desired {
        let text = format!("zone {}: {there} of {desired} edges are there", zone.name);
        lags.push(Lag::new(Reason::EdgesPending, text));
    }
    if !lags.is_empty() {
        lags.extend(troubles(observed, zone).map(|text| Lag::new(Reason::PodsFailing, text)));
    }
    lags
}

/// Why an edge is not configured.
fn lag(edge: &EdgeObservation, observed: &Observed<'_>) -> Lag {
    let revision = revision(observed);
    let (reason, what) = match (&edge.contact, &edge.refused) {
        (Contact::Silent, _) => (Reason::EdgesUnreachable, "does not answer".to_owned()),
        (Contact::Lost(why), _) => (Reason::EdgesUnreachable, format!("cannot be reached: {why}")),
        (Contact::Starting, _) => (Reason::EdgesPending, "is starting".to_owned()),
        (Contact::Answering, Some(LinkRefusal { reason, detail })) => {
            (Reason::EdgesRefuse, format!("refuses revision {revision} ({}): {detail}", reason.as_str()))
        }
        (Contact::Answering, None) => (Reason::EdgesPending, "has not confirmed it yet".to_owned()),
    };
    let serving = match &edge.serving {
        Some(serving) => format!("revision {}", serving.revision),
        None => "nothing".to_owned(),
    };
    let EdgeObservation { zone, name, .. } = edge;
    let ending = if edge.is_terminating { ", which is ending," } else { "" };
    let what = cut(what, limits::CONDITION_TEXT_BYTES / 2);
    Lag::new(reason, format!("zone {zone}: edge {name}{ending} {what} (last known to serve {serving})"))
}

fn troubles<'a>(observed: &'a Observed<'_>, zone: &'a DesiredZone) -> impl Iterator<Item = String> + 'a {
    let troubles = observed.troubles.iter().filter(|trouble| trouble.zone == zone.name);
    troubles.map(|trouble| format!("zone {}: {}", trouble.zone, trouble.text))
}

/// Ready: viewers get this generation in every wanted zone, and have an address to come to.
pub(super) fn ready(observed: &Observed<'_>, edges: &str) -> Verdict {
    if let Some(verdict) = not_accepted(observed, edges) {
        return verdict;
    }
    if observed.zones.is_empty() {
        let (reason, text) = no_zone(observed);
        let reason = if observed.none_eligible { reason } else { Reason::ZonesNotReady };
        return Verdict::no(reason, text);
    }
    if let Some(text) = behind(observed) {
        return Verdict::no(Reason::ZonesNotReady, text);
    }
    let is_served =
        |zone: &&DesiredZone| observed.staying_in(zone).any(|edge| edge.ready && observed.is_configured(edge));
    let unserved: Vec<_> = observed.zones.iter().filter(|zone| !is_served(zone)).collect();
    if !unserved.is_empty() {
        return unserved_zones(observed, &unserved);
    }
    if observed.service == ServiceKind::LoadBalancer && observed.addresses.is_empty() {
        let text = "the load balancer has no address yet; on a platform without load balancers use \
                    spec.edge.service.type ClusterIP, and kubectl port-forward from outside the cluster";
        return Verdict::no(Reason::AddressPending, text.to_owned());
    }
    Verdict::yes(Reason::ZonesReady, "every zone has a ready edge on the current revision".to_owned())
}

fn unserved_zones(observed: &Observed<'_>, unserved: &[&DesiredZone]) -> Verdict {
    let revision = revision(observed);
    let mut names: Vec<_> = unserved.iter().map(|zone| zone.name.as_str()).collect();
    let more = names.len().saturating_sub(limits::CONDITION_TEXTS);
    names.truncate(limits::CONDITION_TEXTS);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let text = format!("no ready edge on revision {revision} in zone {}{more}", names.join(", "));
    let conflicts = observed.conflicts.iter().map(|conflict| conflict.text.clone());
    let troubles: Vec<_> = unserved.iter().flat_map(|zone| troubles(observed, zone)).collect();
    let reason = match observed.conflicts.first() {
        Some(conflict) => conflict.reason,
        None if observed.none_eligible => Reason::NoEligibleZone,
        None if !troubles.is_empty() => Reason::PodsFailing,
        None => Reason::ZonesNotReady,
    };
    let texts: Vec<_> = std::iter::once(text).chain(conflicts).chain(troubles).collect();
    Verdict::no(reason, listed(texts.iter()))
}

/// The first few texts; the rest are counted.
fn listed<'a>(texts: impl ExactSizeIterator<Item = &'a String>) -> String {
    let more = texts.len().saturating_sub(limits::CONDITION_TEXTS);
    let mut texts: Vec<_> =
        texts.take(limits::CONDITION_TEXTS).map(|text| cut(text.clone(), limits::CONDITION_TEXT_BYTES)).collect();
    if more > 0 {
        texts.push(format!("and {more} more"));
    }
    texts.join("; ")
}

/// At most `most` bytes of a text, with a sign that there was more.
fn cut(mut text: String, most: usize) -> String {
    const MORE: char = '…';
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most.saturating_sub(MORE.len_utf8())));
        text.push(MORE);
    }
    text
}
