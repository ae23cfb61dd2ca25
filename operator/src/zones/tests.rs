use serde_json::{Value, json};

use super::*;

const GRACE: Duration = Duration::from_secs(600);

fn node(value: Value) -> NodeFacts {
    NodeFacts::read(&serde_json::from_value(value).expect("a node"))
}

fn zoned(zone: &str, taints: Value) -> NodeFacts {
    node(json!({"metadata": {"name": "n", "labels": {ZONE_LABEL: zone, "disk": "ssd"}}, "spec": {"taints": taints}}))
}

fn eligible(nodes: &[NodeFacts], tolerations: Value, selector: &[(&str, &str)]) -> Vec<String> {
    let tolerations: Vec<Toleration> = serde_json::from_value(tolerations).expect("tolerations");
    let selector = selector.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    eligible_zones(nodes, &tolerations, &selector).into_iter().collect()
}

#[test]
fn zones_are_the_values_of_the_nodes_label_and_nodes_without_one_are_the_default_zone() {
    let unnamed = node(json!({"metadata": {"name": "n"}}));
    let nodes = [zoned("b", json!([])), zoned("a", json!([])), zoned("b", json!([])), unnamed, zoned("", json!([]))];
    assert_eq!(eligible(&nodes, json!([]), &[]), ["a", "b", "default"]);
}

#[test]
fn a_zone_called_default_and_nodes_without_a_zone_are_one_zone_for_the_scheduler_too() {
    let terms = serde_json::to_value(affinity("default")).unwrap();
    assert_eq!(
        terms,
        json!([
            {"matchExpressions": [{"key": ZONE_LABEL, "operator": "DoesNotExist"}]},
            {"matchExpressions": [{"key": ZONE_LABEL, "operator": "In", "values": ["", "default"]}]},
        ])
    );
    let terms = serde_json::to_value(affinity("a")).unwrap();
    assert_eq!(terms, json!([{"matchExpressions": [{"key": ZONE_LABEL, "operator": "In", "values": ["a"]}]}]));
}

#[test]
fn a_node_selector_needs_every_label() {
    let nodes = [zoned("a", json!([]))];
    assert_eq!(eligible(&nodes, json!([]), &[("disk", "ssd")]), ["a"]);
    assert!(eligible(&nodes, json!([]), &[("disk", "ssd"), ("gpu", "yes")]).is_empty());
    assert!(eligible(&nodes, json!([]), &[("disk", "hdd")]).is_empty());
}

#[test]
fn only_taints_that_repel_and_are_not_of_a_nodes_state_count() {
    for (key, effect, expected) in [
        ("dedicated", "NoSchedule", false),
        ("dedicated", "NoExecute", false),
        ("dedicated", "PreferNoSchedule", true),
        ("node.kubernetes.io/unschedulable", "NoSchedule", true),
        ("node.kubernetes.io/not-ready", "NoExecute", true),
        ("node.cloudprovider.kubernetes.io/uninitialized", "NoSchedule", true),
        ("node-role.kubernetes.io/control-plane", "NoSchedule", false),
    ] {
        let nodes = [zoned("a", json!([{"key": key, "effect": effect}]))];
        assert_eq!(!eligible(&nodes, json!([]), &[]).is_empty(), expected, "{key}:{effect}");
    }
}

#[test]
fn tolerations_match_as_the_scheduler_matches_them() {
    let taint = json!([{"key": "team", "value": "web", "effect": "NoSchedule"}]);
    for (toleration, expected) in [
        (json!({"operator": "Exists"}), true),
        (json!({"key": "team", "operator": "Exists"}), true),
        (json!({"key": "team", "operator": "Exists", "effect": "NoSchedule"}), true),
        (json!({"key": "team", "operator": "Exists", "effect": "NoExecute"}), false),
        (json!({"key": "other", "operator": "Exists"}), false),
        (json!({"key": "team", "operator": "Equal", "value": "web"}), true),
        (json!({"key": "team", "value": "web"}), true),
        (json!({"key": "team", "value": "api"}), false),
        (json!({"key": "team"}), false),
        (json!({"key": "team", "operator": "Gt", "value": "1"}), false),
    ] {
        let zones = eligible(&[zoned("a", taint.clone())], json!([toleration]), &[]);
        assert_eq!(!zones.is_empty(), expected, "{toleration}");
    }
}

#[test]
fn every_taint_must_be_tolerated() {
    let taints =
        json!([{"key": "team", "value": "web", "effect": "NoSchedule"}, {"key": "spot", "effect": "NoExecute"}]);
    let team = json!({"key": "team", "operator": "Exists"});
    assert!(eligible(&[zoned("a", taints.clone())], json!([team]), &[]).is_empty());
    let spot = json!({"key": "spot", "operator": "Exists"});
    assert_eq!(eligible(&[zoned("a", taints)], json!([team, spot]), &[]), ["a"]);
}

fn set(zones: &[&str]) -> BTreeSet<String> {
    zones.iter().map(|zone| (*zone).to_owned()).collect()
}

/// What is wanted at `minute`, of zones that were discovered (`None`: nodes are not known) and that exist.
fn wanted(memory: &mut ZoneMemory, minute: u64, discovered: Option<&[&str]>, existing: &[&str]) -> WantedZones {
    let (discovered, existing) = (discovered.map(set), set(existing));
    let facts = ZoneFacts { named: None, discovered: discovered.as_ref(), existing: &existing };
    memory.wanted(&facts, Duration::from_secs(60 * minute))
}

fn check(wanted: &WantedZones, zones: &[&str], expires_at_minute: Option<u64>) {
    assert_eq!(wanted.zones, zones);
    assert_eq!(wanted.expires_at, expires_at_minute.map(|minute| Duration::from_secs(60 * minute)));
}

#[test]
fn a_discovered_zone_is_kept_for_the_grace_after_its_last_node_and_no_longer() {
    let mut memory = ZoneMemory::new(GRACE);
    check(&wanted(&mut memory, 0, Some(&["a", "b"]), &[]), &["a", "b"], None);
    // Nobody asked for hours: the zone had its nodes until now.
    check(&wanted(&mut memory, 300, Some(&["a"]), &["a", "b"]), &["a", "b"], Some(310));
    check(&wanted(&mut memory, 309, Some(&["a"]), &["a", "b"]), &["a", "b"], Some(310));
    check(&wanted(&mut memory, 310, Some(&["a"]), &["a", "b"]), &["a"], None);
}

#[test]
fn a_zone_that_was_given_up_does_not_return_while_its_deployment_is_being_deleted() {
    let mut memory = ZoneMemory::new(GRACE);
    wanted(&mut memory, 0, Some(&["a"]), &["a", "b"]);
    check(&wanted(&mut memory, 10, Some(&["a"]), &["a", "b"]), &["a"], None);
    check(&wanted(&mut memory, 11, Some(&["a"]), &["a", "b"]), &["a"], None);
    check(&wanted(&mut memory, 12, Some(&["a"]), &["a"]), &["a"], None);
    check(&wanted(&mut memory, 13, Some(&["a", "b"]), &["a"]), &["a", "b"], None);
}

#[test]
fn a_node_that_returns_in_time_ends_the_wait() {
    let mut memory = ZoneMemory::new(GRACE);
    wanted(&mut memory, 0, Some(&["a", "b"]), &[]);
    wanted(&mut memory, 1, Some(&["a"]), &["a", "b"]);
    check(&wanted(&mut memory, 9, Some(&["a", "b"]), &["a", "b"]), &["a", "b"], None);
    check(&wanted(&mut memory, 12, Some(&["a"]), &["a", "b"]), &["a", "b"], Some(22));
}

#[test]
fn after_a_restart_zones_with_deployments_get_the_full_grace() {
    let mut memory = ZoneMemory::new(GRACE);
    check(&wanted(&mut memory, 100, Some(&["a"]), &["a", "b"]), &["a", "b"], Some(110));
}

#[test]
fn nothing_is_given_up_while_nodes_are_not_known_or_no_zone_is_left() {
    for blind in [None, Some(&[][..])] {
        let mut memory = ZoneMemory::new(GRACE);
        wanted(&mut memory, 0, Some(&["a", "b"]), &[]);
        wanted(&mut memory, 1, Some(&["a"]), &["a", "b"]);
        let unknown = wanted(&mut memory, 5, blind, &["a", "b"]);
        check(&unknown, &["a", "b"], None);
        assert_eq!(unknown.none_eligible, blind.is_some());
        check(&wanted(&mut memory, 60, blind, &["a", "b"]), &["a", "b"], None);
        // Four of the ten minutes of b had passed; a is missing only now.
        check(&wanted(&mut memory, 65, Some(&["c"]), &["a", "b"]), &["a", "b", "c"], Some(71));
        check(&wanted(&mut memory, 71, Some(&["c"]), &["a", "b", "c"]), &["a", "c"], Some(75));
    }
}

#[test]
fn without_nodes_and_without_deployments_there_is_no_zone() {
    let mut memory = ZoneMemory::new(GRACE);
    let wanted = wanted(&mut memory, 0, Some(&[]), &[]);
    assert_eq!(wanted, WantedZones { none_eligible: true, ..Default::default() });
}

#[test]
fn named_zones_are_wanted_whatever_nodes_there_are_and_no_others() {
    let named = ["x", "a"].map(|name| WantedZone { name: name.to_owned(), replicas: None });
    let mut memory = ZoneMemory::new(GRACE);
    for minute in [0, 1000] {
        let (discovered, existing) = (set(&["a", "b"]), set(&["a", "b"]));
        let facts = ZoneFacts { named: Some(&named), discovered: Some(&discovered), existing: &existing };
        let wanted = memory.wanted(&facts, Duration::from_secs(60 * minute));
        assert_eq!(
            (wanted.zones, wanted.expires_at, wanted.none_eligible),
            (vec!["x".into(), "a".into()], None, false)
        );
        assert_eq!(wanted.without_nodes, ["x"]);
    }
    check(&wanted(&mut memory, 1001, Some(&["a"]), &["a", "x"]), &["a", "x"], Some(1011));
}

#[test]
fn a_zone_in_its_grace_is_told_to_be_without_nodes() {
    let mut memory = ZoneMemory::new(GRACE);
    assert_eq!(wanted(&mut memory, 0, Some(&["a"]), &["a", "b"]).without_nodes, ["b"]);
    assert!(no_node_text("b").starts_with("no node that edges may run on has topology.kubernetes.io/zone=b;"));
}
