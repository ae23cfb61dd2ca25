use proxima_edge_core::edge_config::EdgeConfig;
use proxima_edge_core::link::{LinkRefusalReason, content_hash};

use super::*;

fn envelope(revision: u64) -> Envelope {
    let config = EdgeConfig { requires: vec![], cache: Default::default(), distributions: vec![] };
    let hash = content_hash(&config);
    Envelope { uid: "u".to_owned(), term: 1, revision, epoch: 0, generation: 5, hash, config }
}

fn serving(revision: u64) -> Serving {
    let Envelope { uid, revision, epoch, hash, .. } = envelope(revision);
    Serving { uid, revision, epoch, hash }
}

/// An edge that serves `revision` and answers viewers and operator.
fn edge(zone: &str, replica: u32, revision: u64) -> EdgeObservation {
    let (zone, contact) = (zone.to_owned(), Contact::Answering);
    EdgeObservation { zone, replica, ready: true, contact, serving: Some(serving(revision)), refused: None }
}

fn zones(zones: &[(&str, u32)]) -> Vec<DesiredZone> {
    zones.iter().map(|(name, replicas)| DesiredZone { name: (*name).to_owned(), replicas: *replicas }).collect()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// `Type=Status Reason: message` of each condition, for revision 2 in zones a (one edge) and b (one edge).
fn conditions(edges: &[EdgeObservation], problems: &[Refused]) -> [String; 3] {
    let (wanted, zones) = (envelope(2), zones(&[("a", 1), ("b", 1)]));
    let (edges, problems) = (edges.iter().collect(), problems.to_vec());
    let observed = Observed { wanted: &wanted, zones: &zones, edges, problems, addresses: vec![] };
    let status = status(&observed, None, at(0));
    let text = |condition: &Condition| {
        let Condition { type_, status, reason, message, .. } = condition;
        format!("{type_}={status} {reason}: {message}")
    };
    let [accepted, deployed, ready] = &status.conditions[..] else { panic!("three conditions") };
    [text(accepted), text(deployed), text(ready)]
}

const VALID: &str = "Accepted=True Valid: the specification is valid";
const LIVE: &str = "Deployed=True EdgesCurrent: revision 2 is live on 2/2 edges";
const READY: &str = "Ready=True ZonesReady: every zone has a ready edge on the current revision";
const NO_B: &str = "Ready=False ZonesNotReady: no ready edge on revision 2 in zone b";

fn check(second: EdgeObservation, deployed: &str, ready: &str) {
    assert_eq!(conditions(&[edge("a", 0, 2), second], &[]), [VALID, deployed, ready]);
}

#[test]
fn edges_that_say_so_are_deployed_and_ready() {
    check(edge("b", 0, 2), LIVE, READY);
}

#[test]
fn an_edge_on_an_older_revision_is_pending() {
    let pending =
        "Deployed=False EdgesPending: zone b: edge 0 has not confirmed it yet (last known to serve revision 1)";
    check(edge("b", 0, 1), pending, NO_B);
}

#[test]
fn an_edge_that_was_just_started_is_pending() {
    let pending = "Deployed=False EdgesPending: zone b: edge 0 is starting (last known to serve nothing)";
    check(EdgeObservation::starting("b", 0), pending, NO_B);
}

#[test]
fn an_edge_that_owes_an_answer_is_unreachable_even_on_the_right_revision() {
    let silent = EdgeObservation { contact: Contact::Silent, ..edge("b", 0, 2) };
    let text = "Deployed=False EdgesUnreachable: zone b: edge 0 does not answer (last known to serve revision 2)";
    check(silent, text, NO_B);
}

#[test]
fn an_edge_that_is_gone_is_unreachable_with_the_cause() {
    let lost = EdgeObservation { contact: Contact::Lost("it died".to_owned()), ready: false, ..edge("b", 0, 1) };
    let text = "Deployed=False EdgesUnreachable: \
                zone b: edge 0 cannot be reached: it died (last known to serve revision 1)";
    check(lost, text, NO_B);
}

#[test]
fn an_edge_that_refuses_says_why() {
    let refusal = LinkRefusal { reason: LinkRefusalReason::Invalid, detail: "no origin".to_owned() };
    let refusing = EdgeObservation { refused: Some(refusal), ..edge("b", 0, 1) };
    let text = "Deployed=False EdgesRefuse: \
                zone b: edge 0 refuses revision 2 (Invalid): no origin (last known to serve revision 1)";
    check(refusing, text, NO_B);
}

#[test]
fn an_edge_that_is_configured_and_not_ready_is_deployed_and_its_zone_not_ready() {
    check(EdgeObservation { ready: false, ..edge("b", 0, 2) }, LIVE, NO_B);
}

#[test]
fn the_worst_reason_wins_and_comes_first() {
    let refusal = LinkRefusal { reason: LinkRefusalReason::Invalid, detail: "x".to_owned() };
    let refusing = EdgeObservation { refused: Some(refusal), ..edge("b", 0, 1) };
    let [_, deployed, _] = conditions(&[edge("a", 0, 1), refusing], &[]);
    assert!(deployed.starts_with("Deployed=False EdgesRefuse: zone b"), "{deployed}");
    assert!(deployed.contains("; zone a"), "{deployed}");
}

#[test]
fn a_wrong_edit_denies_everything_and_says_what_serves() {
    let problem = |text: &str| Refused { reason: Reason::UnknownField, text: text.to_owned() };
    let texts = conditions(&[edge("a", 0, 2), edge("b", 0, 2)], &[problem("one"), problem("two")]);
    let nothing = "NotAccepted: the manifest is not accepted; revision 2 serves on 2/2 edges";
    assert_eq!(
        texts,
        [
            "Accepted=False UnknownField: one; two".to_owned(),
            format!("Deployed=False {nothing}"),
            format!("Ready=False {nothing}"),
        ]
    );
}

#[test]
fn one_restarting_edge_of_two_keeps_its_zone_ready() {
    let (wanted, zones) = (envelope(2), zones(&[("a", 2)]));
    let edges = [edge("a", 0, 2), EdgeObservation::starting("a", 1)];
    let edges = edges.iter().collect();
    let observed = Observed { wanted: &wanted, zones: &zones, edges, problems: vec![], addresses: vec![] };
    let status = status(&observed, None, at(0));
    let verdicts: Vec<_> = status.conditions.iter().map(|condition| condition.status.as_str()).collect();
    assert_eq!(verdicts, ["True", "False", "True"]);
    assert_eq!(status.edges.as_deref(), Some("1/2"));
}

#[test]
fn zones_are_counted_one_by_one() {
    let (wanted, zones) = (envelope(2), zones(&[("a", 2), ("b", 1)]));
    let edges = [edge("a", 0, 2), edge("a", 1, 1), EdgeObservation::starting("b", 0)];
    let edges = edges.iter().collect();
    let observed = Observed { wanted: &wanted, zones: &zones, edges, problems: vec![], addresses: vec![] };
    let status = status(&observed, None, at(0));
    let zone = |name: &str, desired, ready, configured, revision: Option<&str>| ZoneStatus {
        name: name.to_owned(),
        desired,
        ready,
        configured,
        revision: revision.map(str::to_owned),
    };
    assert_eq!(status.zones, [zone("a", 2, 2, 1, Some("1")), zone("b", 1, 0, 0, None)]);
    assert_eq!((status.observed_generation, status.revision.as_deref()), (Some(5), Some("2")));
}

#[test]
fn a_condition_keeps_its_time_until_its_status_changes() {
    let (wanted, zones) = (envelope(2), zones(&[("a", 1)]));
    let judge = |edge: &EdgeObservation, previous: Option<&DistributionStatus>, second| {
        let observed =
            Observed { wanted: &wanted, zones: &zones, edges: vec![edge], problems: vec![], addresses: vec![] };
        status(&observed, previous, at(second))
    };
    let deployed_since = |status: &DistributionStatus| status.conditions[1].last_transition_time.0;
    let first = judge(&edge("a", 0, 2), None, 10);
    let same = judge(&edge("a", 0, 2), Some(&first), 20);
    let changed = judge(&edge("a", 0, 1), Some(&same), 30);
    assert_eq!([&first, &same, &changed].map(deployed_since), [at(10), at(10), at(30)]);
}

#[test]
fn a_long_list_of_edges_is_cut_and_counted() {
    let (wanted, zones) = (envelope(2), zones(&[("a", 9)]));
    let edges: Vec<_> = (0..9).map(|replica| edge("a", replica, 1)).collect();
    let edges = edges.iter().collect();
    let observed = Observed { wanted: &wanted, zones: &zones, edges, problems: vec![], addresses: vec![] };
    let status = status(&observed, None, at(0));
    assert!(status.conditions[1].message.ends_with("; and 5 more"), "{}", status.conditions[1].message);
}
