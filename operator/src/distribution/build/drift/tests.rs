use serde_json::json;

use super::*;

/// What we would apply.
fn desired() -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "shop-edge-a", "namespace": "web",
            "labels": {"proxima.dev/zone": "a"},
            "ownerReferences": [{"apiVersion": "proxima.dev/v1alpha1", "kind": "Distribution", "name": "shop", "uid": "u"}],
        },
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"proxima.dev/zone": "a"}},
            "template": {
                "metadata": {"labels": {"proxima.dev/zone": "a", "team": "web"}, "annotations": {"note": "x"}},
                "spec": {
                    "containers": [{
                        "name": "edge",
                        "image": "edge:1",
                        "args": ["run", "--log", "info"],
                        "env": [{"name": "PROXIMA_ZONE", "value": "a"}],
                        "ports": [{"containerPort": 8080, "name": "http"}],
                        "resources": {"limits": {"memory": "1024Mi"}, "requests": {"cpu": "1000m"}},
                        "securityContext": {"capabilities": {"drop": ["ALL"]}},
                    }],
                    "nodeSelector": {"role": "edge"},
                    "priorityClassName": "edges",
                    "tolerations": [{"key": "dedicated", "operator": "Exists"}],
                    "volumes": [{"name": "state", "emptyDir": {"sizeLimit": "16Mi"}}],
                },
            },
        },
    })
}

/// Who owns what, as the server notes it after we wrote [`desired`].
fn ours(operation: &str) -> Value {
    json!({
        "manager": "proxima-operator", "operation": operation, "apiVersion": "apps/v1", "fieldsType": "FieldsV1",
        "fieldsV1": {
            "f:metadata": {"f:labels": {"f:proxima.dev/zone": {}}, "f:ownerReferences": {"k:{\"uid\":\"u\"}": {}}},
            "f:spec": {
                "f:replicas": {},
                "f:strategy": {"f:type": {}},
                "f:template": {
                    "f:metadata": {
                        "f:labels": {"f:proxima.dev/zone": {}, "f:team": {}},
                        "f:annotations": {".": {}, "f:note": {}},
                    },
                    "f:spec": {
                        "f:containers": {"k:{\"name\":\"edge\"}": {
                            ".": {}, "f:name": {}, "f:image": {}, "f:args": {},
                            "f:env": {".": {}, "k:{\"name\":\"PROXIMA_ZONE\"}": {".": {}, "f:name": {}, "f:value": {}}},
                            "f:ports": {
                                ".": {},
                                "k:{\"containerPort\":8080,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}},
                            },
                            "f:resources": {
                                "f:limits": {".": {}, "f:memory": {}}, "f:requests": {".": {}, "f:cpu": {}},
                            },
                        }},
                        "f:nodeSelector": {},
                        "f:priorityClassName": {},
                        "f:tolerations": {},
                        "f:volumes": {".": {}, "k:{\"name\":\"state\"}": {".": {}, "f:name": {}, "f:emptyDir": {}}},
                    },
                },
            },
        },
    })
}

/// The same as the server has it: with its defaults, its spelling of quantities, and what others added.
fn live(operation: &str) -> Value {
    let mut live = desired();
    live["metadata"]["uid"] = "d".into();
    live["metadata"]["resourceVersion"] = "17".into();
    live["metadata"]["annotations"] = json!({"deployment.kubernetes.io/revision": "3"});
    live["metadata"]["labels"]["added-by"] = "somebody".into();
    live["spec"]["strategy"] = json!({"type": "RollingUpdate"});
    live["status"] = json!({"replicas": 2});
    let template = &mut live["spec"]["template"];
    template["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] = "2026".into();
    template["spec"]["dnsPolicy"] = "ClusterFirst".into();
    let edge = &mut template["spec"]["containers"][0];
    edge["terminationMessagePath"] = "/dev/termination-log".into();
    edge["ports"][0]["protocol"] = "TCP".into();
    edge["resources"] = json!({"limits": {"memory": "1Gi"}, "requests": {"cpu": "1"}});
    edge["env"] = json!([{"name": "OTHER", "value": "x"}, {"name": "PROXIMA_ZONE", "value": "a"}]);
    let others = json!({
        "manager": "somebody", "operation": "Update",
        "fieldsV1": {"f:metadata": {"f:labels": {"f:added-by": {}}}},
    });
    let scale = json!({
        "manager": "proxima-operator", "operation": "Update", "subresource": "status",
        "fieldsV1": {"f:metadata": {"f:annotations": {"f:deployment.kubernetes.io/revision": {}}}},
    });
    live["metadata"]["managedFields"] = json!([ours(operation), others, scale]);
    live
}

type Change = fn(&mut Value);

fn container(object: &mut Value) -> &mut Value {
    &mut object["spec"]["template"]["spec"]["containers"][0]
}

fn pod(object: &mut Value) -> &mut Map<String, Value> {
    object["spec"]["template"]["spec"].as_object_mut().expect("a Deployment has a template")
}

fn forget(object: &mut Value, key: &str) {
    object.as_object_mut().expect("it is a map").remove(key);
}

fn check(what: &str, change_desired: Change, change_live: Change, expected: bool) {
    for operation in ["Apply", "Update"] {
        let (mut desired, mut live) = (desired(), live(operation));
        change_desired(&mut desired);
        change_live(&mut live);
        assert_eq!(is_current(&desired, &live), expected, "{what} ({operation})");
    }
}

#[test]
fn what_the_server_and_others_add_is_no_difference() {
    check("as it was applied", |_| {}, |_| {}, true);
}

#[test]
fn a_field_that_we_want_otherwise_is_a_difference() {
    let cases: [(&str, Change); 12] = [
        ("a number", |desired| desired["spec"]["replicas"] = 3.into()),
        ("an image", |desired| container(desired)["image"] = "edge:2".into()),
        ("an argument", |desired| container(desired)["args"][2] = "warn".into()),
        ("one argument more", |desired| container(desired)["args"] = json!(["run", "--log", "info", "--x"])),
        ("one argument less", |desired| container(desired)["args"] = json!(["run", "--log"])),
        ("a quantity", |desired| container(desired)["resources"]["limits"]["memory"] = "2Gi".into()),
        ("a new annotation", |desired| desired["metadata"]["annotations"] = json!({"x": "y"})),
        ("a new volume", |desired| {
            pod(desired)["volumes"].as_array_mut().unwrap().push(json!({"name": "boot"}));
        }),
        ("another port", |desired| container(desired)["ports"][0]["containerPort"] = 8081.into()),
        ("a toleration", |desired| desired["spec"]["template"]["spec"]["tolerations"][0]["key"] = "spot".into()),
        ("a size", |desired| {
            desired["spec"]["template"]["spec"]["volumes"][0]["emptyDir"]["sizeLimit"] = "32Mi".into();
        }),
        ("another owner", |desired| desired["metadata"]["ownerReferences"][0]["uid"] = "v".into()),
    ];
    for (what, change) in cases {
        check(what, change, |_| {}, false);
    }
}

#[test]
fn a_field_that_we_want_no_more_is_a_difference() {
    let cases: [(&str, Change); 10] = [
        ("a label of Pods", |desired| forget(&mut desired["spec"]["template"]["metadata"]["labels"], "team")),
        ("all annotations", |desired| forget(&mut desired["spec"]["template"]["metadata"], "annotations")),
        ("a label", |desired| forget(&mut desired["metadata"], "labels")),
        ("the node selector", |desired| drop(pod(desired).remove("nodeSelector"))),
        ("the priority", |desired| drop(pod(desired).remove("priorityClassName"))),
        ("all tolerations", |desired| drop(pod(desired).remove("tolerations"))),
        ("a volume", |desired| drop(pod(desired).remove("volumes"))),
        ("a request", |desired| forget(&mut container(desired)["resources"], "requests")),
        ("a variable", |desired| forget(container(desired), "env")),
        ("a port", |desired| forget(container(desired), "ports")),
    ];
    for (what, change) in cases {
        check(what, change, |_| {}, false);
    }
}

#[test]
fn what_others_changed_of_ours_is_a_difference() {
    let cases: [(&str, Change); 6] = [
        ("a number", |live| live["spec"]["replicas"] = 0.into()),
        ("a label that is gone", |live| forget(&mut live["metadata"]["labels"], "proxima.dev/zone")),
        ("more in an atomic map", |live| live["spec"]["template"]["spec"]["nodeSelector"]["disk"] = "ssd".into()),
        ("another toleration", |live| {
            live["spec"]["template"]["spec"]["tolerations"] = json!([{"key": "dedicated", "operator": "Exists"}, {}]);
        }),
        ("a variable", |live| container(live)["env"][1]["value"] = "b".into()),
        ("a limit", |live| container(live)["resources"]["limits"]["memory"] = "1Mi".into()),
    ];
    for (what, change) in cases {
        check(what, |_| {}, change, false);
    }
}

#[test]
fn what_others_added_is_left_alone() {
    let cases: [(&str, Change); 4] = [
        ("a label", |live| live["metadata"]["labels"]["x"] = "y".into()),
        ("an annotation of Pods", |live| live["spec"]["template"]["metadata"]["annotations"]["x"] = "y".into()),
        ("a volume", |live| {
            pod(live)["volumes"].as_array_mut().unwrap().insert(0, json!({"name": "x", "emptyDir": {}}));
        }),
        ("a limit", |live| container(live)["resources"]["limits"]["example.com/gpu"] = "1".into()),
    ];
    for (what, change) in cases {
        check(what, |_| {}, change, true);
    }
}

#[test]
fn empty_and_null_are_the_same_as_absent() {
    for (desired, live, expected) in [
        (json!({"a": null}), json!({}), true),
        (json!({"a": {}}), json!({}), true),
        (json!({"a": []}), json!({"a": null}), true),
        (json!({"a": {}}), json!({"a": {"b": 1}}), true),
        (json!({"a": null}), json!({"a": 1}), false),
        (json!({"a": 1}), json!({"a": null}), false),
        (json!({"limits": {"cpu": "0.5"}}), json!({"limits": {"cpu": "500m"}}), true),
        (json!({"limits": {"cpu": "x"}}), json!({"limits": {"cpu": "y"}}), false),
    ] {
        assert_eq!(is_current(&desired, &live), expected, "{desired} {live}");
    }
}

#[test]
fn ports_of_a_service_are_found_by_number_and_protocol() {
    let desired = json!({"spec": {"ports": [{"name": "http", "port": 80, "targetPort": "http"}]}});
    let port = |port: u16, protocol: &str| {
        json!({"spec": {"ports": [
            {"name": "http", "port": port, "protocol": protocol, "targetPort": "http", "nodePort": 30_000}
        ]}})
    };
    assert!(is_current(&desired, &port(80, "TCP")));
    assert!(!is_current(&desired, &port(80, "UDP")));
    assert!(!is_current(&desired, &port(81, "TCP")));
}
