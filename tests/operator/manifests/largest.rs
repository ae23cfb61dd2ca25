//! The largest manifest that the schema allows, with strings as people write them: it must fit into the API server's
//! budget for rules, into etcd, into the boot copy, and into edges.

use std::net::SocketAddr;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::ListParams;
use proxima_tests::bed::Play;
use proxima_tests::viewer::raw;
use proxima_tests::{ControlPlane, Operator, Origin, PlayedKubelet, Reply, wait_until};
use serde_json::{Map, Value, json};

use super::bounds::numbered;
use super::schema::{self, Place};
use super::{apply, certificate, distributions, service, until};

/// An object in which every list and mapping is as long as it may be; lists within items of lists in `all` of them, or in
/// the first.
fn largest(origin: SocketAddr, all: bool) -> Value {
    let mut object = schema::everything("largest");
    let http = &mut object["spec"]["origins"][0]["http"];
    http["host"] = json!(origin.ip());
    http["httpPort"] = json!(origin.port());
    http["protocolPolicy"] = json!("MatchViewer");
    // A node of the test has no labels, and one authority serves all.
    object["spec"]["edge"]["tolerations"][0] = json!({"key": "edge", "operator": "Exists"});
    lengthened(&object, &schema::distribution()["properties"]["spec"], all)
}

fn lengthened(object: &Value, schema: &Value, all: bool) -> Value {
    let mut object = object.clone();
    object["spec"] = lengthen(&object["spec"], schema, all);
    object
}

fn lengthen(value: &Value, schema: &Value, all: bool) -> Value {
    match value {
        Value::Object(members) if schema["maxProperties"].is_number() => {
            let most = schema["maxProperties"].as_u64().unwrap();
            let (key, one) = members.iter().next().unwrap();
            Value::Object((0..most).map(|index| (format!("{key}-{index}"), one.clone())).collect())
        }
        Value::Object(members) => {
            let long =
                |(name, member): (&String, &Value)| (name.clone(), lengthen(member, &schema["properties"][name], all));
            Value::Object(members.iter().map(long).collect::<Map<_, _>>())
        }
        Value::Array(items) => {
            let long: Vec<_> = items.iter().map(|item| lengthen(item, &schema["items"], all)).collect();
            let most = schema["maxItems"].as_u64().unwrap() as usize;
            let like = if all { &long } else { items };
            let more = (long.len()..most).map(|index| numbered(&like[index % like.len()], index));
            Value::Array(long.iter().cloned().chain(more).collect())
        }
        other => other.clone(),
    }
}

/// Lengths of all lists and mappings, to see that none was forgotten.
fn shortest_share(object: &Value) -> (usize, Vec<String>) {
    let (mut full, mut short) = (0, Vec::new());
    schema::walk(object, &mut |place: &Place, value, schema| {
        let length = value.as_array().map(Vec::len).or_else(|| value.as_object().map(Map::len));
        let most = schema["maxItems"].as_u64().or_else(|| schema["maxProperties"].as_u64());
        match (length, most) {
            (Some(length), Some(most)) if length as u64 == most => full += 1,
            (Some(length), Some(most)) => short.push(format!("{}: {length} of {most}", place.text())),
            _ => {}
        }
    });
    (full, short)
}

#[tokio::test]
async fn a_manifest_with_every_list_at_its_maximum_is_accepted_and_served() {
    let origin = Origin::answering(|head| Reply::ok(head.target().to_owned())).await;
    let plane = ControlPlane::exclusive().await;
    let labels = (0..16).map(|index| format!("disk-{index}=ssd"));
    plane.create_node("node-a", Some("zone-a")).await;
    let labels: Vec<_> = ["label", "node", "node-a"].into_iter().map(str::to_owned).chain(labels).collect();
    plane.kubectl(&labels.iter().map(String::as_str).collect::<Vec<_>>()).await.ok();
    let _operator = Operator::start(&plane, &[]).await;
    let namespace = plane.namespace("largest").await;
    let api = distributions(&plane, &namespace).await;
    let authority = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "authority"}, "data": {"root.pem": certificate()},
    });
    let class = json!({
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 1000,
    });
    apply(&plane, &namespace, &format!("{authority}\n---\n{}\n---\n{class}", service("api", 80))).await;
    let object = largest(origin.address, true);
    let (full, short) = shortest_share(&object);
    assert!(short.is_empty(), "{short:#?}");
    eprintln!("{} bytes, {full} full lists", object.to_string().len());
    let dry_run = ["apply", "--server-side", "--dry-run=server", "-n", &namespace, "-f", "-"];
    plane.kubectl_reading(&object.to_string(), &dry_run).await.ok();
    // The API server needs seconds for each write of such an object, and more when it is busy. What has to be shown of
    // the operator and of edges, this one shows as well.
    let object = largest(origin.address, true);
    eprintln!("{} bytes are served", object.to_string().len());
    apply(&plane, &namespace, &object.to_string()).await;
    let kubelet = PlayedKubelet::start(&plane, &namespace, Play::Edges);
    // One after another, which takes a busy API server a while: each part has the patience of a whole.
    for count in [1, 32, 64, 96, 128] {
        let deployments: Api<Deployment> = Api::namespaced(plane.client().await, &namespace);
        wait_until(&format!("{count} zones have a Deployment"), async || {
            let there = deployments.list(&ListParams::default()).await.map_err(|error| error.to_string())?.items.len();
            if there >= count { Ok(()) } else { Err(format!("{there}")) }
        })
        .await;
    }
    until(&api, "largest", 1, "Accepted=True Valid").await;
    let boot: Api<ConfigMap> = Api::namespaced(plane.client().await, &namespace);
    let boot = boot.get("largest-edge-boot").await.unwrap();
    let config = &boot.data.unwrap()["config.json"];
    eprintln!("the boot copy has {} bytes", config.len());
    // The one zone with a node has an edge; the other 127 wait for nodes.
    wait_until("the edge serves it", async || {
        let object = api.get("largest").await.map_err(|error| error.to_string())?;
        let status = object.status.unwrap_or_default();
        let zone = status.zones.iter().find(|zone| zone.name == "zone-a");
        let served = zone.is_some_and(|zone| (zone.ready, zone.configured) == (1, 1));
        let edges = status.edges.as_deref() == Some("1/128");
        if served && edges { Ok(()) } else { Err(format!("{:?} {zone:?} {:#?}", status.edges, status.conditions)) }
    })
    .await;
    let edge = kubelet.pods()[0].http();
    let answer = raw(edge, "GET /api/200/page HTTP/1.1\r\nHost: x255-shop.example.com\r\n\r\n").await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "/public/api/200/page"));
    let heads = origin.heads();
    assert_eq!(heads[0].count("x029-x-from"), 1, "the last of 30 headers: {heads:?}");
    let stranger = raw(edge, "GET /api/200/page HTTP/1.1\r\nHost: x256-shop.example.com\r\n\r\n").await;
    assert_eq!(stranger.status(), 403);
}
