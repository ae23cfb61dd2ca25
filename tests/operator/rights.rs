//! What the operator may do, what it may not, and what goes on when it may do less or meets what it cannot read.

use proxima_tests::{ControlPlane, Operator, wait_until};
use serde_json::{Value, json};

use crate::cluster::{Cluster, Requests, condition, distribution, path, requests};

const ROLE: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles/proxima-operator";

#[tokio::test]
async fn the_operators_account_may_touch_no_other_secret_and_write_nothing_of_the_clusters() {
    let plane = ControlPlane::exclusive().await;
    let own = Operator::install(&plane).await;
    let namespace = plane.namespace("web").await;
    let kubeconfig = plane.kubeconfig_for_service_account(&own, "proxima-operator").await;
    let operator = Requests(plane.client_for(&kubeconfig).await);
    let admin = requests(&plane).await;
    plane.create_node("node-a", Some("a")).await;
    for (namespace, name) in [(&namespace, "other"), (&namespace, "proxima-operator-link"), (&own, "other")] {
        let secret = json!({"metadata": {"name": name}, "stringData": {"key": "value"}});
        admin.create(&path(namespace, "secrets", ""), secret).await;
    }

    let patch = json!({"metadata": {"labels": {"a": "b"}}});
    let secret = |name: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}});
    let (merge, apply, plain) = ("application/merge-patch+json", "application/apply-patch+yaml", "application/json");
    let nothing = Value::Null;
    let mut requests = Vec::new();
    for (namespace, name) in [(&namespace, "other"), (&namespace, "proxima-operator-link"), (&own, "other")] {
        let object = path(namespace, "secrets", name);
        requests.extend([
            ("GET", object.clone(), plain, nothing.clone()),
            ("PUT", object.clone(), plain, secret(name)),
            ("PATCH", object.clone(), merge, patch.clone()),
            ("PATCH", format!("{object}?fieldManager=x&force=true"), apply, secret(name)),
            ("PATCH", format!("{object}?dryRun=All"), merge, patch.clone()),
            ("DELETE", object.clone(), plain, nothing.clone()),
            ("DELETE", format!("{object}?dryRun=All"), plain, nothing.clone()),
        ]);
    }
    let all = path(&namespace, "secrets", "");
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let rules = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    requests.extend([
        ("GET", all.clone(), plain, nothing.clone()),
        ("GET", "/api/v1/secrets".to_owned(), plain, nothing.clone()),
        ("GET", format!("{all}?watch=true"), plain, nothing.clone()),
        ("GET", "/api/v1/secrets?fieldSelector=metadata.name=other".to_owned(), plain, nothing.clone()),
        ("DELETE", all.clone(), plain, nothing.clone()),
        // By POST no name can be checked, so not even its own.
        ("POST", all.clone(), plain, secret("new")),
        ("POST", all.clone(), plain, secret("proxima-edge")),
        ("PATCH", format!("{all}/new?fieldManager=x"), apply, secret("new")),
        ("PATCH", "/api/v1/nodes/node-a".to_owned(), merge, patch.clone()),
        ("PATCH", "/api/v1/nodes/node-a/status".to_owned(), merge, patch.clone()),
        ("DELETE", "/api/v1/nodes/node-a".to_owned(), plain, nothing.clone()),
        ("POST", path(&namespace, "pods", ""), plain, pod),
        ("DELETE", path(&namespace, "pods", ""), plain, nothing.clone()),
        ("POST", format!("{rbac}/clusterroles"), plain, json!({"metadata": {"name": "all"}, "rules": rules})),
        ("PATCH", ROLE.to_owned(), merge, json!({"rules": rules})),
        ("POST", format!("{rbac}/namespaces/{namespace}/roles"), plain, json!({"metadata": {"name": "all"}})),
        ("PATCH", path(&namespace, "distributions", "web"), merge, patch.clone()),
        ("POST", path(&namespace, "distributions", ""), plain, distribution("web", json!({}))),
        ("POST", format!("/api/v1/namespaces/{namespace}/serviceaccounts/default/token"), plain, json!({"spec": {}})),
    ]);
    for (method, path, kind, body) in &requests {
        let (code, answer) = operator.send(method, path, kind, body).await;
        assert_eq!(code, 403, "{method} {path} ({kind}): {answer}");
    }
    // The account is one that may do its own work: the same requests are not refused for want of a valid token.
    assert!(operator.find(&path(&namespace, "secrets", "proxima-edge")).await.is_none());
}

#[tokio::test]
async fn an_object_that_cannot_be_parsed_is_told_so_and_holds_up_nobody() {
    // Its own, since the definition is spoiled.
    let plane = ControlPlane::start();
    let operator = Operator::start(&plane, &[]).await;
    let cluster = Cluster::of(plane, operator).await;
    let definition = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/distributions.proxima.dev";
    let mut crd = cluster.admin.get(definition).await;
    // As if an earlier version of the definition had let it in.
    for version in crd["spec"]["versions"].as_array_mut().unwrap() {
        let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        version["schema"]["openAPIV3Schema"] = open;
    }
    cluster.admin.replace(definition, crd).await;
    let list = cluster.path("distributions", "");
    wait_until("the open definition is in force", async || {
        let bad = json!({
            "apiVersion": "proxima.dev/v1alpha1", "kind": "Distribution", "metadata": {"name": "probe"}, "spec": 5,
        });
        let (code, answer) = cluster.admin.send("POST", &list, "application/json", &bad).await;
        if code == 200 { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
    let bad = [
        ("origins", json!({"origins": 5})),
        ("zones", json!({"zones": "x"})),
        ("nothing", json!({"origins": null, "defaultCacheBehavior": null})),
        ("deep", json!({"edge": {"replicasPerZone": -1, "tolerations": {"a": []}}})),
    ];
    for (name, spec) in &bad {
        cluster.admin.create(&list, distribution(name, spec.clone())).await;
    }
    cluster.distribution("good", json!({"zones": [{"name": "a"}]})).await;
    cluster.until_deployments(&["good-edge-a"]).await;
    for name in bad.iter().map(|(name, _)| *name).chain(["probe"]) {
        let is_refused = |object: &Value| condition(object, "Accepted").0 == "False";
        let object = cluster.admin.until(&cluster.path("distributions", name), "refused", is_refused).await;
        println!("{name}: {:?}", condition(&object, "Accepted"));
        assert_eq!(condition(&object, "Ready").0, "False");
    }
    let good = cluster.admin.get(&cluster.path("distributions", "good")).await;
    assert_eq!(condition(&good, "Accepted").0, "True");
    assert_eq!(cluster.deployments().await, ["good-edge-a"]);
    // One that was good and is spoiled keeps what it has.
    cluster.edit("good", json!({"origins": "spoiled"})).await;
    let is_refused = |object: &Value| condition(object, "Accepted").0 == "False";
    cluster.admin.until(&cluster.path("distributions", "good"), "refused", is_refused).await;
    assert_eq!(cluster.deployments().await, ["good-edge-a"]);
}

/// Takes verbs from the rule of a kind; the rest stays.
fn without(role: &Value, resource: &str, verbs: &[&str]) -> Value {
    let mut rules = Vec::new();
    for rule in role["rules"].as_array().unwrap() {
        let resources = rule["resources"].as_array().unwrap();
        if !resources.contains(&json!(resource)) {
            rules.push(rule.clone());
            continue;
        }
        let mut others = rule.clone();
        others["resources"].as_array_mut().unwrap().retain(|one| one != resource);
        let mut less = rule.clone();
        less["resources"] = json!([resource]);
        less["verbs"].as_array_mut().unwrap().retain(|verb| !verbs.contains(&verb.as_str().unwrap()));
        let is_rule = |rule: &Value| rule["resources"] != json!([]) && rule["verbs"] != json!([]);
        rules.extend([others, less].into_iter().filter(is_rule));
    }
    let mut role = role.clone();
    role["rules"] = rules.into();
    role["metadata"] = json!({"name": "proxima-operator"});
    role
}

/// Gives the operator this role, and waits until the API server goes by it.
async fn take_away(cluster: &Cluster, role: Value, group: &str, resource: &str) {
    cluster.admin.replace(ROLE, role).await;
    let name = if resource == "secrets" { "proxima-edge" } else { "" };
    let review = json!({"spec": {
        "user": cluster.operator.user(),
        "resourceAttributes": {"verb": "list", "group": group, "resource": resource, "name": name},
    }});
    wait_until("the right is taken away", async || {
        let answer = cluster.admin.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", review.clone()).await;
        if answer["status"]["allowed"] == false { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn a_watch_that_is_refused_for_ever_holds_up_nothing_else() {
    let mut cluster = Cluster::start(&["--zone-grace", "1s"]).await;
    cluster.plane.create_node("node-a", Some("a")).await;
    let site = json!({"metadata": {"name": "site"}, "spec": {"ports": [{"port": 80}]}});
    cluster.admin.create(&cluster.path("services", ""), site).await;
    cluster.distribution("free", json!({"edge": {"replicasPerZone": 1}})).await;
    let mut replicas = 2;
    cluster.distribution("old", json!({"zones": [{"name": "a", "replicas": replicas}]})).await;
    cluster.until_deployments(&["free-edge-a", "old-edge-a"]).await;
    let role = cluster.admin.get(ROLE).await;
    let watch = ["list", "watch"];
    let every = ["get", "list", "watch", "create", "patch", "delete"];
    let cases = [
        ("", "nodes", &watch[..]),
        ("", "pods", &watch),
        ("", "services", &watch),
        ("apps", "deployments", &watch),
        ("policy", "poddisruptionbudgets", &watch),
        ("", "configmaps", &watch),
        ("", "secrets", &watch),
        ("policy", "poddisruptionbudgets", &every),
    ];
    for (number, (group, resource, verbs)) in cases.into_iter().enumerate() {
        cluster.operator.terminate().await;
        take_away(&cluster, without(&role, resource, verbs), group, resource).await;
        cluster.operator = cluster.operator.restart().await;
        // What is there is brought up to date, and found again without being made again.
        replicas += 1;
        cluster.edit("old", json!({"zones": [{"name": "a", "replicas": replicas}]})).await;
        let is_current = |live: &Value| live["spec"]["replicas"] == replicas;
        cluster.admin.until(&cluster.path("deployments", "old-edge-a"), resource, is_current).await;
        // What is new is made, and its origin found.
        let name = format!("new{number}");
        let origin = json!([{"name": "site", "service": {"name": "site", "port": 80}}]);
        let object = cluster.distribution(&name, json!({"origins": origin, "zones": [{"name": "a"}]})).await;
        assert_eq!(condition(&object, "Accepted").0, "True", "{resource}: {object:#}");
        for (kind, object) in [
            ("deployments", format!("{name}-edge-a")),
            ("services", format!("{name}-edge-a")),
            ("configmaps", format!("{name}-edge-boot")),
        ] {
            cluster.admin.until(&cluster.path(kind, &object), "made", Value::is_object).await;
        }
        // Nothing is removed for want of knowledge.
        assert!(cluster.deployments().await.contains(&"free-edge-a".to_owned()), "{resource}");
        let ready = cluster.operator.admin("/readyz").await;
        assert!(ready.status() == 503 && ready.text().contains(&format!("watch of {resource}: ")), "{}", ready.text());
        let metrics = cluster.operator.metrics().await;
        assert!(metrics.with("proxima_operator_watch_errors_total", &[("kind", resource)]) >= 1.0);
        println!("{resource} {verbs:?}: {}", ready.text().trim());
    }
    let told = |object: &Value| {
        let (_, reason, message) = condition(object, "Deployed");
        reason == "NotApplied" && message.contains("poddisruptionbudgets")
    };
    cluster.admin.until(&cluster.path("distributions", "old"), "the budget is told of", told).await;
    // With the right given back it goes on by itself.
    let mut whole = role.clone();
    whole["metadata"] = json!({"name": "proxima-operator"});
    cluster.admin.replace(ROLE, whole).await;
    cluster.operator.ready().await;
    cluster.admin.until(&cluster.path("poddisruptionbudgets", "new7-edge-a"), "made", Value::is_object).await;
}
