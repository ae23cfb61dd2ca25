//! Manifests that only the operator can judge: it names every problem in one round, writes nothing, and accepts the
//! object when the world changes, without an edit.

use kube::Api;
use proxima_crds::v1alpha1::Distribution;
use proxima_tests::{ControlPlane, Operator};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{apply, certificate, distributions, until};

/// A manifest, what there is before it, what the operator says, and what changes its mind.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(default)]
    given: String,
    manifest: String,
    problems: Vec<Problem>,
    /// Objects that solve every problem; absent where only an edit can.
    fix: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Problem {
    reason: String,
    field: String,
    text: String,
}

impl Case {
    fn read(text: &str, namespace: &str) -> Self {
        let certificate = serde_json::to_string(&certificate()).unwrap();
        let mut case: Self = serde_yaml::from_str(text).unwrap();
        let fill = |text: &mut String| {
            *text = text.replace("$NAMESPACE", namespace).replace("$CERTIFICATE", &certificate);
        };
        fill(&mut case.given);
        case.fix.iter_mut().for_each(fill);
        case.problems.iter_mut().for_each(|problem| fill(&mut problem.text));
        case
    }

    fn name(&self) -> String {
        let manifest: Value = serde_yaml::from_str(&self.manifest).unwrap();
        manifest["metadata"]["name"].as_str().unwrap().to_owned()
    }

    /// The whole condition.
    fn verdict(&self) -> String {
        let texts: Vec<_> =
            self.problems.iter().map(|problem| format!("{}: {}", problem.field, problem.text)).collect();
        format!("Accepted=False {}: {}", self.problems[0].reason, texts.join("; "))
    }
}

/// What a refused object that never was another says of itself besides its problems.
fn check_nothing_serves(object: &Distribution) {
    let status = object.status.as_ref().unwrap();
    let nothing = "NotAccepted: the specification is not accepted; nothing was accepted before";
    for kind in ["Deployed", "Ready"] {
        assert_eq!(super::condition(object, kind, 1).unwrap(), format!("{kind}=False {nothing}"));
    }
    assert_eq!((status.revision.as_deref(), status.edges.as_deref()), (None, Some("0/0")));
    assert_eq!((status.zones.len(), status.addresses.len()), (0, 0), "nobody answers viewers");
}

async fn problems_and_recovery(plane: &ControlPlane, namespace: &str, cases: &[Case], api: &Api<Distribution>) {
    for case in cases {
        let object = until(api, &case.name(), 1, "Accepted=False").await;
        assert_eq!(super::condition(&object, "Accepted", 1).unwrap(), case.verdict());
        check_nothing_serves(&object);
    }
    for case in cases {
        if let Some(fix) = &case.fix {
            apply(plane, namespace, fix).await;
        }
    }
    for case in cases.iter().filter(|case| case.fix.is_some()) {
        let object = until(api, &case.name(), 1, "Accepted=True Valid").await;
        assert_eq!(object.status.unwrap().revision.as_deref(), Some("1"));
    }
}

/// What the operator wrote in a namespace but for statuses and events.
async fn written(
    plane: &ControlPlane,
    operator: &Operator,
    namespace: &str,
    since: proxima_tests::bed::AuditMark,
) -> Vec<String> {
    let events = plane.audit(since, &operator.user()).await.into_iter();
    let elsewhere = |event: &proxima_tests::bed::AuditEvent| event.namespace != namespace || event.resource == "events";
    let written = events.filter(|event| !elsewhere(event) && event.subresource != "status");
    written.map(|event| format!("{} {}/{} {}", event.verb, event.resource, event.name, event.uri)).collect()
}

#[tokio::test]
async fn what_only_the_operator_sees_is_told_in_one_round_and_forgiven_without_an_edit() {
    let plane = ControlPlane::exclusive().await;
    let operator = Operator::start(&plane, &[]).await;
    operator.ready().await;
    let namespace = plane.namespace("judged").await;
    let cases: Vec<_> = super::data("not-accepted").iter().map(|(_, text)| Case::read(text, &namespace)).collect();
    let api = distributions(&plane, &namespace).await;
    let mark = plane.audit_mark().await;
    let given: String = cases.iter().map(|case| format!("---\n{}", case.given)).collect();
    apply(&plane, &namespace, &given).await;
    let manifests: String = cases.iter().map(|case| format!("---\n{}", case.manifest)).collect();
    apply(&plane, &namespace, &manifests).await;
    for case in &cases {
        until(&api, &case.name(), 1, "Accepted=False").await;
    }
    // Long lists: every Service that is missing is named, and what is too large says what the limit is.
    for object in [many_services("many"), too_large("large"), annotated("annotated")] {
        apply(&plane, &namespace, &object.to_string()).await;
    }
    let many = until(&api, "many", 1, "Accepted=False ServiceNotFound").await;
    let text = super::condition(&many, "Accepted", 1).unwrap();
    for index in 0..128 {
        let field = format!("spec.origins[{index}].service.name: there is no Service {namespace}/missing-{index};");
        assert!(text.contains(&field), "lacks {field}: {text}");
    }
    let large = until(&api, "large", 1, "Accepted=False ConfigTooLarge").await;
    let text = super::condition(&large, "Accepted", 1).unwrap();
    assert!(text.contains("spec: the configuration for edges has") && text.contains("at most 921600 fit"), "{text}");
    check_nothing_serves(&large);
    let annotated = until(&api, "annotated", 1, "Accepted=False InvalidValue").await;
    let text = super::condition(&annotated, "Accepted", 1).unwrap();
    for field in ["spec.edge.podAnnotations: ", "; spec.edge.service.annotations: "] {
        assert!(text.contains(field), "{text}");
    }
    assert_eq!(written(&plane, &operator, &namespace, mark).await, [] as [String; 0]);

    problems_and_recovery(&plane, &namespace, &cases, &api).await;
    for object in [many, large, annotated] {
        assert_eq!(object.metadata.generation, Some(1));
    }
}

/// As many origins as there can be, and not one of their Services.
fn many_services(name: &str) -> Value {
    let origins: Value = (0..128)
        .map(|index| json!({"name": format!("o{index}"), "service": {"name": format!("missing-{index}"), "port": 80}}))
        .collect();
    json!({
        "apiVersion": "proxima.dev/v1alpha1", "kind": "Distribution", "metadata": {"name": name},
        "spec": {"origins": origins, "defaultCacheBehavior": {"targetOrigin": "o0"}},
    })
}

/// A specification within every bound, whose configuration no ConfigMap can hold.
fn too_large(name: &str) -> Value {
    let names: Vec<String> = (0..40).map(|index| format!("parameter-{index:0>85}")).collect();
    let key = json!({"queryStrings": {"behavior": "Some", "names": names}});
    let behaviors: Value = (0..256)
        .map(|index| {
            json!({
                "pathPattern": format!("/{index}/*"), "targetOrigin": "site", "cachePolicy": {"inline": {"key": key}},
            })
        })
        .collect();
    json!({
        "apiVersion": "proxima.dev/v1alpha1", "kind": "Distribution", "metadata": {"name": name},
        "spec": {
            "origins": [{"name": "site", "http": {"host": "site.example.com", "protocolPolicy": "HttpsOnly"}}],
            "defaultCacheBehavior": {"targetOrigin": "site"},
            "cacheBehaviors": behaviors,
        },
    })
}

/// Annotations each of which is allowed, and that no object could have together with those of others.
fn annotated(name: &str) -> Value {
    let annotations: Value = (0..32).map(|index| (format!("key-{index}"), json!("a".repeat(4_096)))).collect();
    json!({
        "apiVersion": "proxima.dev/v1alpha1", "kind": "Distribution", "metadata": {"name": name},
        "spec": {
            "origins": [{"name": "site", "http": {"host": "site.example.com", "protocolPolicy": "HttpsOnly"}}],
            "defaultCacheBehavior": {"targetOrigin": "site"},
            "edge": {"podAnnotations": annotations, "service": {"annotations": annotations}},
        },
    })
}
