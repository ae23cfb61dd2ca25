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
fn edge(zone: &str, name: &str, revision: u64) -> EdgeObservation {
    let contact = Contact::Answering;
    let starting = EdgeObservation::starting(zone, name);
    EdgeObservation { ready: true, contact, serving: Some(serving(revision)), ..starting }
}

/// The same, asked to end.
fn ending(edge: EdgeObservation) -> EdgeObservation {
    EdgeObservation { is_terminating: true, ready: false, ..edge }
}

/// Revision 2 of generation 5 is wanted in these zones; nothing is wrong but what edges say.
fn observed<'a>(wanted: &'a Envelope, zones: &'a [DesiredZone], edges: &'a [EdgeObservation]) -> Observed<'a> {
    Observed {
        generation: 5,
        wanted: Some(wanted),
        zones,
        edges: edges.iter().collect(),
        problems: vec![],
        addresses: vec![],
        domain_name: None,
        troubles: vec![],
        service: ServiceKind::ClusterIp,
        none_eligible: false,
        conflicts: vec![],
        failure: None,
    }
}

fn refused(reason: Reason, text: &str) -> Refused {
    Refused { reason, text: text.to_owned() }
}

fn zones(zones: &[(&str, u32)]) -> Vec<DesiredZone> {
    zones.iter().map(|(name, replicas)| DesiredZone { name: (*name).to_owned(), replicas: *replicas }).collect()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// `Type=Status Reason: message` of each condition.
fn verdicts(observed: &Observed<'_>) -> [String; 3] {
    let status = status(observed, None, at(0));
    let text = |condition: &Condition| {
        let Condition { type_, status, reason, message, .. } = condition;
        format!("{type_}={status} {reason}: {message}")
    };
    let [accepted, deployed, ready] = &status.conditions[..] else { panic!("three conditions") };
    [text(accepted), text(deployed), text(ready)]
}

/// Those for edges of zones a and b, one edge each, and a change of what else is known.
fn conditions(edges: &[EdgeObservation], change: impl FnOnce(&mut Observed<'_>)) -> [String; 3] {
    let (wanted, zones) = (envelope(2), zones(&[("a", 1), ("b", 1)]));
    let mut observed = observed(&wanted, &zones, edges);
    change(&mut observed);
    verdicts(&observed)
}

const VALID: &str = "Accepted=True Valid: the specification is valid";
const LIVE: &str = "Deployed=True EdgesCurrent: revision 2 is live on 2/2 edges";
const READY: &str = "Ready=True ZonesReady: every zone has a ready edge on the current revision";
const NO_B: &str = "Ready=False ZonesNotReady: no ready edge on revision 2 in zone b";

fn check(second: EdgeObservation, deployed: &str, ready: &str) {
    assert_eq!(conditions(&[edge("a", "a-0", 2), second], |_| {}), [VALID, deployed, ready]);
}

#[test]
fn edges_that_say_so_are_deployed_and_ready() {
    check(edge("b", "b-0", 2), LIVE, READY);
}

#[test]
fn an_edge_on_an_older_revision_is_pending() {
    let pending =
        "Deployed=False EdgesPending: zone b: edge b-0 has not confirmed it yet (last known to serve revision 1)";
    check(edge("b", "b-0", 1), pending, NO_B);
}

#[test]
fn an_edge_that_was_just_started_is_pending() {
    let pending = "Deployed=False EdgesPending: zone b: edge b-0 is starting (last known to serve nothing)";
    check(EdgeObservation::starting("b", "b-0"), pending, NO_B);
}

#[test]
fn an_edge_that_owes_an_answer_is_unreachable_even_on_the_right_revision() {
    let silent = EdgeObservation { contact: Contact::Silent, ..edge("b", "b-0", 2) };
    let text = "Deployed=False EdgesUnreachable: zone b: edge b-0 does not answer (last known to serve revision 2)";
    check(silent, text, NO_B);
}

#[test]
fn an_edge_that_is_gone_is_unreachable_with_the_cause() {
    let lost = EdgeObservation { contact: Contact::Lost("it died".to_owned()), ready: false, ..edge("b", "b-0", 1) };
    let text = "Deployed=False EdgesUnreachable: \
                zone b: edge b-0 cannot be reached: it died (last known to serve revision 1)";
    check(lost, text, NO_B);
}

#[test]
fn an_edge_that_refuses_says_why() {
    let refusal = LinkRefusal { reason: LinkRefusalReason::Invalid, detail: "no origin".to_owned() };
    let refusing = EdgeObservation { refused: Some(refusal), ..edge("b", "b-0", 1) };
    let text = "Deployed=False EdgesRefuse: \
                zone b: edge b-0 refuses revision 2 (Invalid): no origin (last known to serve revision 1)";
    check(refusing, text, NO_B);
}

#[test]
fn an_edge_that_is_configured_and_not_ready_is_deployed_and_its_zone_not_ready() {
    check(EdgeObservation { ready: false, ..edge("b", "b-0", 2) }, LIVE, NO_B);
}

#[test]
fn the_worst_reason_wins_and_comes_first() {
    let refusal = LinkRefusal { reason: LinkRefusalReason::Invalid, detail: "x".to_owned() };
    let refusing = EdgeObservation { refused: Some(refusal), ..edge("b", "b-0", 1) };
    let [_, deployed, _] = conditions(&[edge("a", "a-0", 1), refusing], |_| {});
    assert!(deployed.starts_with("Deployed=False EdgesRefuse: zone b"), "{deployed}");
    assert!(deployed.contains("; zone a"), "{deployed}");
}

#[test]
fn a_wrong_edit_denies_everything_and_says_what_serves() {
    let texts = conditions(&[edge("a", "a-0", 2), edge("b", "b-0", 2)], |observed| {
        observed.generation = 6;
        observed.problems = vec![refused(Reason::UnknownField, "one"), refused(Reason::UnknownField, "two")];
    });
    let nothing = "NotAccepted: the specification is not accepted; revision 2 serves on 2/2 edges";
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
fn every_problem_is_listed_in_full_and_what_a_condition_cannot_hold_is_counted() {
    let accepted = |count: usize| {
        let problems =
            (0..count).map(|index| refused(Reason::ServiceNotFound, &format!("{index}:{}", "x".repeat(200))));
        let [accepted, ..] = conditions(&[], |observed| observed.problems = problems.collect());
        accepted
    };
    let many = accepted(128);
    assert!(many.contains("; 127:x") && !many.contains("more") && !many.contains('…'), "{many}");
    let more = accepted(1_000);
    assert!(more.len() < 32_768 && more.ends_with(" more"), "{} bytes", more.len());
    let listed = more.matches(":x").count();
    assert!(more.ends_with(&format!("; and {} more", 1_000 - listed)), "{listed} are listed");
}

#[test]
fn what_never_was_right_says_that_nothing_serves() {
    let zones = [];
    let wanted = envelope(2);
    let problems = vec![refused(Reason::MissingField, "one")];
    let observed = Observed { wanted: None, problems, ..observed(&wanted, &zones, &[]) };
    let status = status(&observed, None, at(0));
    assert_eq!((status.revision, status.observed_generation), (None, Some(5)));
    let nothing = "NotAccepted: the specification is not accepted; nothing was accepted before";
    assert_eq!(verdicts(&observed)[1..], [format!("Deployed=False {nothing}"), format!("Ready=False {nothing}")]);
}

#[test]
fn a_generation_that_was_not_deployed_is_not_taken_for_the_one_before() {
    let texts = conditions(&[edge("a", "a-0", 2), edge("b", "b-0", 2)], |observed| observed.generation = 6);
    let text = "generation 6 is not deployed yet; revision 2 is of another one";
    let expected = [
        VALID.to_owned(),
        format!("Deployed=False EdgesPending: {text}"),
        format!("Ready=False ZonesNotReady: {text}"),
    ];
    assert_eq!(texts, expected);
    let texts = conditions(&[], |observed| observed.wanted = None);
    assert_eq!(texts[1], "Deployed=False EdgesPending: no configuration was deployed yet");
}

/// Statuses of Deployed and Ready, and the counts, for edges of zone a that shall be two.
fn two_in_a(edges: &[EdgeObservation]) -> (String, String) {
    let (wanted, zones) = (envelope(2), zones(&[("a", 2)]));
    let observed = observed(&wanted, &zones, edges);
    let status = status(&observed, None, at(0));
    let verdicts: Vec<_> = status.conditions[1..].iter().map(|condition| condition.status.as_str()).collect();
    (verdicts.join(" "), status.edges.expect("edges are always counted"))
}

fn check_two(edges: &[EdgeObservation], verdicts: &str, counts: &str) {
    assert_eq!(two_in_a(edges), (verdicts.to_owned(), counts.to_owned()));
}

#[test]
fn one_restarting_edge_of_two_keeps_its_zone_ready() {
    let good = || edge("a", "a-0", 2);
    check_two(&[good(), EdgeObservation::starting("a", "a-1")], "False True", "1/2");
    let lost = EdgeObservation { contact: Contact::Lost("it died".to_owned()), ready: false, ..edge("a", "a-1", 2) };
    check_two(&[good(), lost], "False True", "1/2");
    // Its Pod is gone and the next one is not there yet.
    check_two(&[good()], "False True", "1/2");
}

#[test]
fn a_stopped_edge_is_not_deployed_and_its_zone_stays_ready_through_the_other() {
    let silent = EdgeObservation { contact: Contact::Silent, ..edge("a", "a-1", 2) };
    check_two(&[edge("a", "a-0", 2), silent.clone()], "False True", "1/2");
    let (wanted, zones) = (envelope(2), zones(&[("a", 2)]));
    let edges = [edge("a", "a-0", 2), silent];
    let [_, deployed, _] = verdicts(&observed(&wanted, &zones, &edges));
    let text = "Deployed=False EdgesUnreachable: zone a: edge a-1 does not answer (last known to serve revision 2)";
    assert_eq!(deployed, text);
}

#[test]
fn an_edge_that_is_ending_must_serve_the_revision_and_counts_for_nothing() {
    let (one, two) = (|| edge("a", "a-0", 2), || edge("a", "a-1", 2));
    check_two(&[one(), two(), ending(edge("a", "a-2", 2))], "True True", "2/2");
    check_two(&[one(), two(), ending(edge("a", "a-2", 1))], "False True", "2/2");
    check_two(&[one(), ending(two())], "False True", "1/2");
    check_two(&[ending(one()), ending(two())], "False False", "0/2");
    let (wanted, zones) = (envelope(2), zones(&[("a", 2)]));
    let edges = [one(), two(), ending(edge("a", "a-2", 1))];
    let [_, deployed, _] = verdicts(&observed(&wanted, &zones, &edges));
    let text = "zone a: edge a-2, which is ending, has not confirmed it yet (last known to serve revision 1)";
    assert_eq!(deployed, format!("Deployed=False EdgesPending: {text}"));
}

#[test]
fn more_edges_than_wanted_are_no_fault_while_they_replace_each_other() {
    check_two(&[edge("a", "a-0", 2), edge("a", "a-1", 2), edge("a", "a-2", 2)], "True True", "3/2");
}

#[test]
fn edges_of_zones_that_are_not_wanted_decide_nothing() {
    check_two(&[edge("a", "a-0", 2), edge("a", "a-1", 2), edge("z", "z-0", 1)], "True True", "2/2");
}

#[test]
fn an_edge_that_is_not_there_is_missed_and_the_cause_is_told_first() {
    let edges = [edge("a", "a-0", 2)];
    let texts = conditions(&edges, |_| {});
    assert_eq!(texts[1..], ["Deployed=False EdgesPending: zone b: 0 of 1 edges are there".to_owned(), NO_B.to_owned()]);
    let trouble = |zone: &str, text: &str| ZoneTrouble { zone: zone.to_owned(), text: text.to_owned() };
    let texts = conditions(&edges, |observed| {
        observed.troubles =
            vec![trouble("a", "pod a-7: Evicted"), trouble("b", "pod b-0: ImagePullBackOff: no such image")];
    });
    let cause = "zone b: pod b-0: ImagePullBackOff: no such image";
    assert_eq!(
        texts[1..],
        [
            format!("Deployed=False PodsFailing: {cause}; zone b: 0 of 1 edges are there"),
            format!("Ready=False PodsFailing: no ready edge on revision 2 in zone b; {cause}"),
        ]
    );
}

#[test]
fn what_troubles_a_zone_whose_edges_are_all_there_is_no_news() {
    let texts = conditions(&[edge("a", "a-0", 2), edge("b", "b-0", 2)], |observed| {
        observed.troubles = vec![ZoneTrouble { zone: "b".to_owned(), text: "no node".to_owned() }];
    });
    assert_eq!(texts, [VALID, LIVE, READY]);
}

#[test]
fn without_a_node_for_edges_nothing_is_deployed_and_what_runs_stays_ready() {
    let (wanted, none) = (envelope(2), []);
    let nowhere = Observed { none_eligible: true, ..observed(&wanted, &none, &[]) };
    let text = "NoEligibleZone: there is no node that edges may run on; see edge.nodeSelector, edge.tolerations and the \
                taints of nodes";
    assert_eq!(verdicts(&nowhere)[1..], [format!("Deployed=False {text}"), format!("Ready=False {text}")]);
    let unknown = Observed { none_eligible: false, ..nowhere };
    let text = "the zones of the cluster are not known yet";
    assert_eq!(
        verdicts(&unknown)[1..],
        [format!("Deployed=False EdgesPending: {text}"), format!("Ready=False ZonesNotReady: {text}")]
    );
    let texts = conditions(&[edge("a", "a-0", 2), edge("b", "b-0", 2)], |observed| observed.none_eligible = true);
    assert_eq!(texts, [VALID, LIVE, READY]);
    let [_, _, ready] = conditions(&[edge("a", "a-0", 2)], |observed| observed.none_eligible = true);
    assert_eq!(ready, "Ready=False NoEligibleZone: no ready edge on revision 2 in zone b");
}

#[test]
fn a_load_balancer_without_address_is_not_ready_and_says_what_else_there_is() {
    let edges = [edge("a", "a-0", 2), edge("b", "b-0", 2)];
    let [_, deployed, ready] = conditions(&edges, |observed| observed.service = ServiceKind::LoadBalancer);
    assert_eq!(deployed, LIVE);
    assert!(ready.starts_with("Ready=False AddressPending: the load balancer has no address yet"), "{ready}");
    assert!(ready.contains("ClusterIP") && ready.contains("kubectl port-forward"), "{ready}");
    let texts = conditions(&edges, |observed| {
        observed.service = ServiceKind::LoadBalancer;
        observed.addresses =
            vec![Address { kind: proxima_crds::v1alpha1::AddressType::IPAddress, value: "192.0.2.1".to_owned() }];
    });
    assert_eq!(texts, [VALID, LIVE, READY]);
}

#[test]
fn a_name_that_is_taken_and_a_failed_write_are_told() {
    let edges = [edge("a", "a-0", 2), edge("b", "b-0", 2)];
    let texts = conditions(&edges, |observed| {
        observed.conflicts = vec![refused(Reason::ChildConflict, "there is a Service shop-edge already")];
        observed.failure = Some("cannot patch Deployment shop-edge-a: forbidden".to_owned());
    });
    let both = "there is a Service shop-edge already; cannot patch Deployment shop-edge-a: forbidden";
    assert_eq!(texts, [VALID.to_owned(), format!("Deployed=False ChildConflict: {both}"), READY.to_owned()]);
    let [_, deployed, ready] =
        conditions(&edges, |observed| observed.failure = Some("cannot patch Deployment shop-edge-a".to_owned()));
    assert_eq!(deployed, "Deployed=False NotApplied: cannot patch Deployment shop-edge-a");
    assert_eq!(ready, READY);
    let [_, _, ready] = conditions(&edges[..1], |observed| {
        observed.conflicts = vec![refused(Reason::PredecessorTerminating, "waiting for Deployment shop-edge-b")];
    });
    let text = "no ready edge on revision 2 in zone b; waiting for Deployment shop-edge-b";
    assert_eq!(ready, format!("Ready=False PredecessorTerminating: {text}"));
}

#[test]
fn zones_are_counted_one_by_one() {
    let (wanted, zones) = (envelope(2), zones(&[("a", 2), ("b", 1)]));
    let edges = [edge("a", "a-0", 2), edge("a", "a-1", 1), EdgeObservation::starting("b", "b-0")];
    let domain_name = Some("shop-edge.web.svc".to_owned());
    let status = status(&Observed { domain_name, ..observed(&wanted, &zones, &edges) }, None, at(0));
    let zone = |name: &str, desired, ready, configured, revision: Option<&str>| ZoneStatus {
        name: name.to_owned(),
        desired,
        ready,
        configured,
        revision: revision.map(str::to_owned),
    };
    assert_eq!(status.zones, [zone("a", 2, 2, 1, Some("1")), zone("b", 1, 0, 0, None)]);
    assert_eq!((status.observed_generation, status.revision.as_deref()), (Some(5), Some("2")));
    assert_eq!(status.domain_name.as_deref(), Some("shop-edge.web.svc"));
    assert!(status.conditions.iter().all(|condition| condition.observed_generation == Some(5)));
}

#[test]
fn a_condition_keeps_its_time_until_its_status_changes() {
    let (wanted, zones) = (envelope(2), zones(&[("a", 1)]));
    let judge = |edge: EdgeObservation, previous: Option<&DistributionStatus>, second| {
        status(&observed(&wanted, &zones, &[edge]), previous, at(second))
    };
    let deployed_since = |status: &DistributionStatus| status.conditions[1].last_transition_time.0;
    let first = judge(edge("a", "a-0", 2), None, 10);
    let same = judge(edge("a", "a-0", 2), Some(&first), 20);
    let changed = judge(edge("a", "a-0", 1), Some(&same), 30);
    assert_eq!([&first, &same, &changed].map(deployed_since), [at(10), at(10), at(30)]);
    assert_eq!(first, same, "nothing to write");
}

#[test]
fn a_long_list_of_edges_is_cut_and_counted() {
    let (wanted, zones) = (envelope(2), zones(&[("a", 9)]));
    let edges: Vec<_> = (0..9).map(|replica| edge("a", &format!("a-{replica}"), 1)).collect();
    let [_, deployed, _] = verdicts(&observed(&wanted, &zones, &edges));
    assert!(deployed.ends_with("; and 5 more"), "{deployed}");
}

#[test]
fn no_message_is_longer_than_people_read() {
    let long = "é".repeat(5_000);
    let (wanted, zones) = (envelope(2), zones(&[("a", 1), ("b", 9)]));
    let lost = |name: &str| EdgeObservation { contact: Contact::Lost(long.clone()), ..edge("b", name, 1) };
    let edges = [edge("a", "a-0", 2), lost("b-0"), lost("b-1"), lost("b-2"), lost("b-3"), lost("b-4")];
    let trouble = ZoneTrouble { zone: "b".to_owned(), text: long.clone() };
    let mut everything = Observed { troubles: vec![trouble; 9], ..observed(&wanted, &zones, &edges) };
    everything.conflicts = vec![refused(Reason::ChildConflict, &long); 9];
    let broken = Observed { problems: vec![refused(Reason::InvalidValue, &long); 9], ..everything.clone() };
    let [accepted, of_broken @ ..] = verdicts(&broken);
    for message in verdicts(&everything).iter().chain(&of_broken) {
        assert!(message.len() < 2_000, "{} bytes", message.len());
    }
    // This one has every problem, each no longer than another condition.
    assert!(accepted.len() < 9 * 2_000, "{} bytes", accepted.len());
}

#[test]
fn a_revision_outlives_the_configuration_that_it_was_of() {
    let wanted = envelope(7);
    let before = status(&observed(&wanted, &[], &[]), None, at(0));
    let lost = Observed { wanted: None, ..observed(&wanted, &[], &[]) };
    assert_eq!(status(&lost, Some(&before), at(1)).revision.as_deref(), Some("7"));
    assert_eq!(status(&lost, None, at(1)).revision, None);
}
