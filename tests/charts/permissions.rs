//! What the operator, and people, may do: exactly what is written here.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::EXTREME;
use crate::helm::{NAMESPACE, object, objects, render};

const WATCH: &str = "get list watch";
const ALL: &str = "get list watch create patch delete";

/// Group, resource, name of the only object (or empty), verbs: in every namespace.
const CLUSTER: &[(&str, &str, &str, &str)] = &[
    ("", "configmaps", "", "get list watch create update patch delete"),
    ("", "nodes", "", WATCH),
    ("", "pods", "", WATCH),
    ("", "secrets", "proxima-edge", ALL),
    ("", "services", "", "get list watch create update patch delete"),
    ("apps", "deployments", "", ALL),
    ("events.k8s.io", "events", "", "create patch"),
    ("policy", "poddisruptionbudgets", "", ALL),
    ("proxima.dev", "distributions", "", WATCH),
    ("proxima.dev", "distributions/status", "", "get patch"),
    ("proxima.dev", "distributions/finalizers", "", "update"),
];

/// In the operator's own namespace.
const OWN: &[(&str, &str, &str, &str)] = &[
    ("", "secrets", "proxima-operator-link", "get create patch"),
    ("coordination.k8s.io", "leases", "", "get create update patch"),
];

/// Who may view a namespace.
const VIEW: &[(&str, &str, &str, &str)] =
    &[("proxima.dev", "distributions", "", WATCH), ("proxima.dev", "distributions/status", "", WATCH)];

/// Who may edit a namespace, beside what viewers may.
const EDIT: &[(&str, &str, &str, &str)] =
    &[("proxima.dev", "distributions", "", "create update patch delete deletecollection")];

/// Verbs by group, resource and name; a resource named by two rules would hide one.
type Grants = BTreeMap<(String, String, String), String>;

fn words(list: &Value) -> Vec<String> {
    serde_json::from_value(list.clone()).unwrap_or_default()
}

fn grants(role: &Value) -> Grants {
    let mut grants = Grants::new();
    for rule in role["rules"].as_array().unwrap() {
        let mut names = words(&rule["resourceNames"]);
        if names.is_empty() {
            names.push(String::new());
        }
        assert!(rule.get("nonResourceURLs").is_none());
        for group in words(&rule["apiGroups"]) {
            for resource in words(&rule["resources"]) {
                for name in &names {
                    let key = (group.clone(), resource.clone(), name.clone());
                    let earlier = grants.insert(key, words(&rule["verbs"]).join(" "));
                    assert!(earlier.is_none(), "{resource} is granted twice");
                }
            }
        }
    }
    grants
}

fn expected(table: &[(&str, &str, &str, &str)]) -> Grants {
    let owned = |text: &&str| (*text).to_owned();
    table
        .iter()
        .map(|(group, resource, name, verbs)| ((owned(group), owned(resource), owned(name)), owned(verbs)))
        .collect()
}

#[test]
fn roles_grant_what_the_work_needs_and_nothing_else() {
    for more in [&[], EXTREME] {
        let objects = objects(&render("proxima", more));
        assert_eq!(grants(&object(&objects, "ClusterRole", "proxima-operator")), expected(CLUSTER));
        let role = object(&objects, "Role", "proxima-operator");
        assert_eq!(grants(&role), expected(OWN));
        assert_eq!(role["metadata"]["namespace"], NAMESPACE);
    }
}

#[test]
fn people_get_their_part_through_the_built_in_roles() {
    let objects = objects(&render("proxima", &[]));
    for (name, table, built_in) in [
        ("proxima-distributions-view", VIEW, &["view", "edit", "admin"][..]),
        ("proxima-distributions-edit", EDIT, &["edit", "admin"][..]),
    ] {
        let role = object(&objects, "ClusterRole", name);
        assert_eq!(grants(&role), expected(table));
        let labels = role["metadata"]["labels"].as_object().unwrap();
        let joined = labels.keys().filter_map(|key| key.strip_prefix("rbac.authorization.k8s.io/aggregate-to-"));
        let mut built_in = built_in.to_vec();
        built_in.sort_unstable();
        assert_eq!(joined.collect::<Vec<_>>(), built_in);
    }
}

#[test]
fn people_get_no_part_when_it_is_turned_off() {
    let kinds = objects(&render("proxima", &["--set", "rbac.aggregate=false"]));
    let roles: Vec<_> = kinds.iter().filter(|object| object["kind"] == "ClusterRole").collect();
    assert_eq!(roles.len(), 1);
    assert_eq!(roles[0]["metadata"]["name"], "proxima-operator");
}

/// Beyond the tables above, so that a table cannot be changed into something unwise without notice.
#[test]
fn no_role_has_a_wildcard_nor_a_secret_without_a_name_nor_writes_permissions() {
    let objects = objects(&render("proxima", EXTREME));
    let roles = objects.iter().filter(|object| matches!(object["kind"].as_str(), Some("Role" | "ClusterRole")));
    for role in roles {
        for (group, resource, name) in grants(role).keys() {
            assert!(![group, resource].contains(&&"*".to_owned()), "{role}");
            assert!(resource != "secrets" || !name.is_empty(), "{role}");
            assert_ne!(group, "rbac.authorization.k8s.io", "{role}");
        }
        assert!(grants(role).values().all(|verbs| !verbs.contains(['*'])), "{role}");
    }
}

#[test]
fn only_the_operators_account_is_bound() {
    let objects = objects(&render("proxima", EXTREME));
    let bindings =
        objects.iter().filter(|object| object["kind"].as_str().is_some_and(|kind| kind.ends_with("Binding")));
    let mut seen = 0;
    for binding in bindings {
        let account =
            serde_json::json!([{"kind": "ServiceAccount", "name": "proxima-operator", "namespace": NAMESPACE}]);
        assert_eq!(binding["subjects"], account);
        assert_eq!(binding["roleRef"]["name"], "proxima-operator");
        assert_eq!(format!("{}Binding", binding["roleRef"]["kind"].as_str().unwrap()), binding["kind"]);
        seen += 1;
    }
    assert_eq!(seen, 2);
}

#[test]
fn only_the_operators_pod_has_a_token() {
    let objects = objects(&render("proxima", EXTREME));
    let account = object(&objects, "ServiceAccount", "proxima-operator");
    assert_eq!(account["automountServiceAccountToken"], false);
    let test = object(&objects, "Pod", "proxima-operator-ready");
    assert_eq!(test["spec"]["automountServiceAccountToken"], false);
    let deployment = object(&objects, "Deployment", "proxima-operator");
    assert_eq!(deployment["spec"]["template"]["spec"]["automountServiceAccountToken"], true);
}
