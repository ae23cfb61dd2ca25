//! All objects of two Distributions, compared with the committed files beside this one. `PROXIMA_UPDATE_GOLDEN=1` writes
//! them anew.

use std::path::PathBuf;

use k8s_openapi::api::core::v1::{ResourceRequirements, Toleration};
use k8s_openapi::serde::Serialize;
use proxima_edge_core::edge_config::CacheConfig;
use proxima_edge_core::link::Envelope;
use serde_json::{Value, json};

use super::super::validate::{PodFields, ServiceFields, ServiceKind};
use super::*;

fn validated() -> Validated {
    Validated {
        name: "shop".to_owned(),
        namespace: "web".to_owned(),
        uid: "11111111-2222-3333-4444-555555555555".to_owned(),
        config: EdgeConfig { requires: vec![], cache: CacheConfig { memory: 256 << 20 }, distributions: vec![] },
        zones: None,
        replicas_per_zone: None,
        enabled: true,
        pods: PodFields::default(),
        service: ServiceFields::default(),
    }
}

fn settings() -> ClusterSettings {
    ClusterSettings {
        edge_image: "proxima-edge:dev".to_owned(),
        pull_policy: "IfNotPresent".to_owned(),
        access_log: true,
        log: "info".to_owned(),
        ..Default::default()
    }
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Everything that a user or an administrator can give.
fn everything() -> (Validated, ClusterSettings) {
    let resources: ResourceRequirements =
        serde_json::from_value(json!({"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "500m"}})).unwrap();
    let toleration: Toleration =
        serde_json::from_value(json!({"key": "dedicated", "operator": "Equal", "value": "cdn"})).unwrap();
    let pods = PodFields {
        resources,
        node_selector: map(&[("node.example.com/role", "edge")]),
        tolerations: vec![toleration],
        labels: map(&[("team", "web"), ("proxima.dev/zone", "elsewhere")]),
        annotations: map(&[("example.com/note", "hello")]),
        priority_class_name: Some("edges".to_owned()),
    };
    let service = ServiceFields {
        kind: ServiceKind::LoadBalancer,
        annotations: map(&[("example.com/load-balancer", "internal")]),
    };
    let settings = ClusterSettings {
        pull_policy: "Always".to_owned(),
        pull_secrets: vec!["registry".to_owned()],
        access_log: false,
        traffic_distribution: Some("PreferSameZone"),
        ..settings()
    };
    (Validated { pods, service, ..validated() }, settings)
}

fn zone(name: &str, replicas: u32) -> DesiredZone {
    DesiredZone { name: name.to_owned(), replicas }
}

fn value(object: &impl Serialize) -> Value {
    serde_json::to_value(object).expect("an object is plain data")
}

/// Every object, a YAML document each.
fn documents(desired: &ClusterDesired) -> String {
    let ClusterDesired { distribution, uid, owner, config, hash, service, zones } = desired;
    let (uid, hash, config) = (uid.clone(), hash.clone(), config.clone());
    let envelope = Envelope { uid, term: 1, revision: 1, epoch: 0, generation: 1, hash, config };
    let mut objects = vec![value(&boot_config::config_map(distribution, owner, &envelope)), value(service)];
    for ZoneObjects { zone: _, deployment, service, disruption_budget } in zones {
        objects.extend([value(deployment), value(service)]);
        objects.extend(disruption_budget.as_ref().map(value));
    }
    objects.iter().map(|object| format!("---\n{}", serde_yaml::to_string(object).unwrap())).collect()
}

#[expect(clippy::disallowed_methods, reason = "a switch for whoever runs the test, not a setting")]
fn is_update() -> bool {
    std::env::var("PROXIMA_UPDATE_GOLDEN").is_ok()
}

fn check(name: &str, desired: &ClusterDesired) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("src/distribution/build/golden/{name}.yaml"));
    let built = documents(desired);
    if is_update() {
        std::fs::write(&path, &built).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(built == committed, "{name}.yaml is not what is built; PROXIMA_UPDATE_GOLDEN=1 writes it anew:\n{built}");
}

#[test]
fn a_minimal_distribution_has_these_objects() {
    check("minimal", &build_cluster(&validated(), &[zone("sa-east-1a", 1)], &settings()));
}

#[test]
fn a_distribution_with_everything_has_these_objects() {
    let (validated, settings) = everything();
    check("everything", &build_cluster(&validated, &[zone("Rack_1", 3), zone("default", 2)], &settings));
}

#[test]
fn no_object_says_null() {
    fn has_null(value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::Array(items) => items.iter().any(has_null),
            Value::Object(members) => members.values().any(has_null),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        }
    }
    let (validated, settings) = everything();
    let desired = build_cluster(&validated, &[zone("a", 2)], &settings);
    let [objects] = &desired.zones[..] else { panic!("one zone") };
    let budget = objects.disruption_budget.as_ref().map(value).expect("two edges have a budget");
    for object in [value(&objects.deployment), value(&objects.service), value(&desired.service), budget] {
        assert!(!has_null(&object), "{object}");
        assert!(object["apiVersion"].is_string() && object["kind"].is_string(), "{object}");
    }
}

#[test]
fn a_changed_configuration_restarts_no_edge() {
    let template = |validated: &Validated| {
        let desired = build_cluster(validated, &[zone("a", 2)], &settings());
        (desired.hash, desired.zones[0].deployment.clone())
    };
    let before = validated();
    let mut after = before.clone();
    after.config.requires.push("something".to_owned());
    assert_ne!(template(&before).0, template(&after).0);
    assert_eq!(template(&before).1, template(&after).1);
    after.config.cache.memory *= 2;
    assert_ne!(template(&before).1, template(&after).1);
}

#[test]
fn a_label_of_the_user_never_takes_the_place_of_one_of_ours() {
    let (validated, settings) = everything();
    let desired = build_cluster(&validated, &[zone("a", 2)], &settings);
    let labels = value(&desired.zones[0].deployment)["spec"]["template"]["metadata"]["labels"].clone();
    assert_eq!((&labels["proxima.dev/zone"], &labels["team"]), (&json!("a"), &json!("web")));
}

#[test]
fn edges_of_a_cluster_are_two_in_every_zone_that_was_found() {
    let zones = cluster_zones(&validated(), vec!["a".to_owned(), "b".to_owned()]);
    assert_eq!(zones, [zone("a", 2), zone("b", 2)]);
}
