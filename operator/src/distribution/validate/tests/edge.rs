//! What is wrong with `spec.edge`, in which words.

use super::refused::{check, only_problem};
use super::*;

#[test]
fn broken_rules_of_resources_are_explained() {
    use Reason::RuleViolated as R;
    check(&[
        ("/spec/edge/resources", json!({"requests": {"cpu": 0}}), "spec.edge.resources.requests.cpu", R, "above zero"),
        (
            "/spec/edge/resources",
            json!({"limits": {"cpu": "1.5m"}}),
            "spec.edge.resources.limits.cpu",
            R,
            "0.5 or 500m",
        ),
        ("/spec/edge/resources", json!({"limits": {"cpu": -1}}), "spec.edge.resources.limits.cpu", R, "above zero"),
        (
            "/spec/edge/resources",
            json!({"limits": {"memory": "1.5Gi"}}),
            "spec.edge.resources.limits.memory",
            R,
            "write a whole number of bytes from 1Mi",
        ),
        (
            "/spec/edge/resources",
            json!({"requests": {"cpu": "1"}, "limits": {"cpu": "500m"}}),
            "spec.edge.resources",
            R,
            "requests.cpu is above limits.cpu",
        ),
        (
            "/spec/edge/resources",
            json!({"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}),
            "spec.edge.resources",
            R,
            "requests.memory is above limits.memory",
        ),
        (
            "/spec/edge/resources",
            json!({"requests": {"ephemeral-storage": "2Gi"}, "limits": {"ephemeral-storage": "1Gi"}}),
            "spec.edge.resources",
            R,
            "requests.ephemeral-storage is above",
        ),
    ]);
}

#[test]
fn broken_rules_of_labels_and_annotations_are_explained() {
    use Reason::RuleViolated as R;
    let reserved = json!({"app.kubernetes.io/name": "mine"});
    check(&[
        ("/spec/edge/nodeSelector", json!({"a b": "x"}), "spec.edge.nodeSelector", R, "NAME or DOMAIN/NAME"),
        ("/spec/edge/nodeSelector", json!({"": "x"}), "spec.edge.nodeSelector", R, "NAME or DOMAIN/NAME"),
        ("/spec/edge/nodeSelector", json!({"a/b/c": "x"}), "spec.edge.nodeSelector", R, "NAME or DOMAIN/NAME"),
        ("/spec/edge/nodeSelector", json!({"A.b/c": "x"}), "spec.edge.nodeSelector", R, "NAME or DOMAIN/NAME"),
        (
            "/spec/edge/nodeSelector",
            Value::Object([(format!("{}/c", "a".repeat(254)), json!("x"))].into_iter().collect()),
            "spec.edge.nodeSelector",
            R,
            "at most 253",
        ),
        (
            "/spec/edge/podAnnotations",
            Value::Object([("a".repeat(64), json!("x"))].into_iter().collect()),
            "spec.edge.podAnnotations",
            R,
            "at most 63",
        ),
        ("/spec/edge/nodeSelector", json!({"a": "-x"}), "spec.edge.nodeSelector.a", R, "begin and end with a letter"),
        ("/spec/edge/podLabels", json!({"proxima.dev/zone": "a"}), "spec.edge.podLabels", R, "which the operator sets"),
        ("/spec/edge/podLabels", reserved, "spec.edge.podLabels", R, "use other keys"),
        ("/spec/edge/podAnnotations", json!({"proxima.dev/x": "a"}), "spec.edge.podAnnotations", R, "use other keys"),
        ("/spec/edge/priorityClassName", json!("High"), "spec.edge.priorityClassName", R, "lower case letters"),
        (
            "/spec/edge/service",
            json!({"annotations": {"proxima.dev/x": "a"}}),
            "spec.edge.service.annotations",
            R,
            "use other keys",
        ),
    ]);
}

#[test]
fn broken_rules_of_tolerations_and_certificates_are_explained() {
    use Reason::RuleViolated as R;
    let tolerations = "/spec/edge/tolerations";
    let first = |rest: &str| format!("spec.edge.tolerations[0]{rest}");
    check(&[
        (tolerations, json!([{}]), &first(""), R, "give a key, or operator Exists"),
        (tolerations, json!([{"operator": "Equal"}]), &first(""), R, "give a key"),
        (tolerations, json!([{"key": "a b"}]), &first(".key"), R, "NAME or DOMAIN/NAME"),
        (tolerations, json!([{"key": "a", "operator": "Exists", "value": "b"}]), &first(".value"), R, "remove value"),
        (
            tolerations,
            json!([{"key": "a", "effect": "NoSchedule", "tolerationSeconds": 1}]),
            &first(".tolerationSeconds"),
            R,
            "use effect NoExecute",
        ),
        (
            "/spec/origins/0/http/tls",
            json!({"caBundleRef": {"name": "web/ours"}}),
            "spec.origins[0].http.tls.caBundleRef.name",
            R,
            "the namespace is always the Distribution's own",
        ),
        (
            "/spec/origins/0/http/tls",
            json!({"caBundleRef": {"name": "ours", "key": "a/b"}}),
            "spec.origins[0].http.tls.caBundleRef.key",
            R,
            "give a ConfigMap's key",
        ),
    ]);
}

#[test]
fn pods_and_services_have_bounds() {
    use Reason::InvalidValue as R;
    let entries = |count: usize| Value::Object((0..count).map(|index| (format!("k{index}"), json!("v"))).collect());
    check(&[
        ("/spec/edge/nodeSelector", entries(17), "spec.edge.nodeSelector", R, "has 17 entries; at most 16"),
        ("/spec/edge/podLabels", entries(33), "spec.edge.podLabels", R, "has 33 entries; at most 32"),
        ("/spec/edge/podLabels", json!({"a": "a".repeat(64)}), "spec.edge.podLabels.a", R, "at most 63"),
        (
            "/spec/edge/tolerations",
            json!([{"operator": "Equals", "key": "a"}]),
            "spec.edge.tolerations[0].operator",
            R,
            "did you mean Equal?",
        ),
        (
            "/spec/edge/tolerations",
            json!([{"operator": "Exists", "effect": "NoExec"}]),
            "spec.edge.tolerations[0].effect",
            R,
            "did you mean NoExecute?",
        ),
        (
            "/spec/edge/service",
            json!({"type": "ExternalName"}),
            "spec.edge.service.type",
            R,
            "use ClusterIP, NodePort, LoadBalancer",
        ),
    ]);
}

#[test]
fn a_memory_limit_below_what_the_cache_needs_is_refused() {
    let problem = only_problem(with("/spec/edge/resources", json!({"limits": {"memory": "174Mi"}})));
    assert_eq!(
        (problem.reason, problem.field.as_str()),
        (Reason::MemoryLimitTooLow, "spec.edge.resources.limits.memory")
    );
    for words in ["64Mi", "175Mi", "174Mi", "spec.edge.cache.memory"] {
        assert!(problem.message.contains(words), "{problem} lacks {words}");
    }
    assert!(judged(with("/spec/edge/resources", json!({"limits": {"memory": "175Mi"}}))).is_ok());
}
