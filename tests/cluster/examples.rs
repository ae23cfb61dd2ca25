//! What a person applies in the first hour, as it lies in `crds/examples`, with an origin under the names that it uses.

use std::fs;

use serde_json::{Value, json};

use crate::release::{Release, repository};
use crate::site::{Site, condition, x_cache};

fn example(name: &str) -> String {
    fs::read_to_string(repository().join("crds/examples").join(name)).unwrap()
}

/// Applies an example and waits until all its edges have it.
async fn deploy(site: &Site<'_>, manifest: &str) -> Value {
    let said = site.release.apply_in(site.namespace, manifest).await.ok();
    assert!(said.contains("created"), "{said}");
    site.holds("Deployed").await
}

/// The first request to a zone's Service and the next ones: perhaps to another edge, but some are hits.
async fn hits(site: &Site<'_>, zones: &[String], path: &str) {
    for zone in zones {
        let base = site.zone_url(zone).await;
        site.opens(&base).await;
        let url = format!("{base}{path}");
        let answers: Vec<_> = site.get(&url, 8).await.iter().map(x_cache).collect();
        assert!(answers.contains(&"Hit".to_owned()), "{}, zone {zone}: {answers:?}", site.name);
    }
}

#[tokio::test]
async fn quickstart_and_site_and_api_are_served_in_every_zone() {
    let mut release = Release::take("examples: quickstart, site and API").await;
    let namespace = &*release.own_namespace("first").await;
    let zones = release.zones().await;
    release.start_origin(namespace, "site", 1).await;
    release.start_origin(namespace, "api", 1).await;
    let port = json!([{"op": "replace", "path": "/spec/ports/0/port", "value": 8080}]).to_string();
    release.kubectl(&["patch", "service", "api", "-n", namespace, "--type=json", "-p", &port]).await.ok();

    let quickstart = Site { release: &release, namespace, name: "quickstart" };
    deploy(&quickstart, &example("quickstart.yaml")).await;
    quickstart.holds("Ready").await;
    hits(&quickstart, &zones, "/").await;
    quickstart.opens("http://quickstart-edge").await;
    let root = &quickstart.get("http://quickstart-edge/", 1).await[0];
    assert_eq!(root.body, "/index.html", "the root is the page that the example names");

    let shop = Site { release: &release, namespace, name: "shop" };
    deploy(&shop, &example("site-and-api.yaml")).await;
    shop.holds("Ready").await;
    // With aliases other host names are refused, but for those of the Distribution's own Services.
    let zone_service = shop.zone_url(&zones[0]).await;
    for own in ["http://shop-edge", &format!("http://shop-edge.{namespace}.svc"), &zone_service] {
        shop.opens(own).await;
        let answer = &shop.get(&format!("{own}/page"), 1).await[0];
        assert_eq!((answer.status, &*answer.body), (200, "/public/page"), "{own}");
    }
    let url = |path: &str| format!("http://shop-edge.{namespace}.svc.cluster.local{path}");
    let pages = shop.get(&url("/page"), 16).await;
    assert!(pages.iter().all(|answer| answer.body == "/public/page"), "pages come from a folder: {pages:#?}");
    assert!(pages.iter().any(|answer| x_cache(answer) == "Hit"), "{pages:#?}");
    let orders = shop.get(&url("/api/orders"), 4).await;
    assert!(orders.iter().all(|answer| x_cache(answer) != "Hit" && answer.body == "/api/orders"), "{orders:#?}");
    let hats = shop.get(&url("/api/catalogue/hats"), 16).await;
    assert!(hats.iter().any(|answer| x_cache(answer) == "Hit"), "{hats:#?}");
}

#[tokio::test]
async fn named_zones_have_the_edges_that_they_ask_for() {
    let mut release = Release::take("examples: several zones").await;
    let namespace = &*release.own_namespace("zones").await;
    let zones = release.zones().await;
    release.start_origin(namespace, "site", 1).await;
    // As the example asks everybody to, with the zones of this cluster in place of those that it names.
    let mut manifest = example("multi-zone.yaml");
    for (theirs, ours) in ["{name: a,", "{name: b}", "{name: c}"].iter().zip(&zones) {
        assert!(manifest.contains(theirs), "the example has {theirs}");
        let end = &theirs[theirs.len() - 1..];
        manifest = manifest.replace(theirs, &format!("{{name: {ours}{end}"));
    }
    let gallery = Site { release: &release, namespace, name: "gallery" };
    let object = deploy(&gallery, &manifest).await;
    assert_eq!(object["status"]["edges"], "8/8");
    let desired = |zone: &String| {
        let status = object["status"]["zones"].as_array().unwrap();
        status.iter().find(|one| one["name"] == **zone).map(|one| one["desired"].clone())
    };
    let counts: Vec<_> = zones.iter().filter_map(desired).collect();
    assert_eq!(counts, [4, 2, 2]);
    gallery.holds("Ready").await;
    hits(&gallery, &zones, "/").await;
}

#[tokio::test]
async fn viewers_outside_come_to_a_port_of_every_node_or_to_a_load_balancer() {
    let mut release = Release::take("examples: node port, load balancer").await;
    let namespace = &*release.own_namespace("outside").await;
    release.start_origin(namespace, "site", 1).await;

    let nodes = Site { release: &release, namespace, name: "on-nodes" };
    deploy(&nodes, &example("node-port.yaml")).await;
    nodes.holds("Ready").await;
    let service = release.object(namespace, "service", "on-nodes-edge").await;
    let port = &service["spec"]["ports"][0]["nodePort"];
    let addresses =
        release.kubectl(&["get", "nodes", "-o", "jsonpath={.items[*].status.addresses[0].address}"]).await.ok();
    for address in addresses.split_whitespace() {
        let base = format!("http://{address}:{port}");
        nodes.opens(&base).await;
        let answers = nodes.get(&format!("{base}/"), 2).await;
        assert!(answers.iter().all(|answer| answer.status == 200 && answer.body == "/index.html"), "{answers:#?}");
    }

    let public = Site { release: &release, namespace, name: "public" };
    deploy(&public, &example("load-balancer.yaml")).await;
    if !release.is_ours() {
        // Whether it has load balancers is not known.
        return;
    }
    let is_pending =
        |object: &Value| condition(object, "Ready").is_some_and(|(_, reason, _)| reason == "AddressPending");
    let object = public.shows("public waits for an address", is_pending).await;
    let (status, _, message) = condition(&object, "Ready").unwrap();
    assert_eq!(&*status, "False", "{message}");
    assert!(message.contains("ClusterIP") && message.contains("port-forward"), "{message}");
    let given = json!({"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}}).to_string();
    release
        .kubectl(&["patch", "service", "public-edge", "-n", namespace, "--subresource=status", "-p", &given])
        .await
        .ok();
    let object = public.holds("Ready").await;
    assert_eq!(object["status"]["addresses"], json!([{"type": "IPAddress", "value": "192.0.2.7"}]));
}
