use serde_json::json;

use super::*;
use crate::distribution::{
    manifest::parse_documents,
    references::{References, references},
};

mod accepted;
mod edge;
mod refused;

/// A manifest with something of everything; cases change one place of it.
fn manifest() -> Value {
    json!({
        "apiVersion": "proxima.dev/v1alpha1",
        "kind": "Distribution",
        "metadata": {"name": "shop", "namespace": "web"},
        "spec": {
            "aliases": ["shop.example.com", "*.shop.example.com"],
            "defaultRootObject": "index.html",
            "origins": [
                {
                    "name": "site",
                    "http": {"host": "site.example.com", "protocolPolicy": "HttpsOnly"},
                    "path": "/public",
                    "customHeaders": [{"name": "X-From", "value": "proxima"}],
                },
                {"name": "api", "service": {"name": "api", "port": 80}},
            ],
            "defaultCacheBehavior": {"targetOrigin": "site", "cachePolicy": {"managed": "CachingOptimized"}},
            "cacheBehaviors": [{
                "pathPattern": "/api/*",
                "targetOrigin": "api",
                "allowedMethods": "All",
                "cachePolicy": {"inline": {
                    "ttl": {"min": "1s", "default": "1m", "max": "1h"},
                    "key": {"headers": {"behavior": "Some", "names": ["Accept-Language"]}},
                }},
            }],
            "zones": [{"name": "a", "replicas": 2}, {"name": "b"}],
            "edge": {"replicasPerZone": 1, "cache": {"memory": "64Mi"}},
        },
    })
}

/// The manifest with another value at a JSON pointer, whose last step need not exist yet.
fn with(pointer: &str, value: Value) -> Value {
    let mut manifest = manifest();
    let (parent, name) = pointer.rsplit_once('/').expect("a JSON pointer");
    let place = manifest.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent} in the manifest"));
    match place {
        Value::Array(items) if name == "-" => items.push(value),
        place => match name.parse::<usize>() {
            Ok(index) => place[index] = value,
            Err(_) => place[name] = value,
        },
    }
    manifest
}

/// The manifest without the value at a JSON pointer.
fn without(pointer: &str) -> Value {
    let mut manifest = manifest();
    let (parent, name) = pointer.rsplit_once('/').expect("a JSON pointer");
    let members = manifest.pointer_mut(parent).and_then(Value::as_object_mut).expect("a parent");
    assert!(members.remove(name).is_some(), "no {pointer} in the manifest");
    manifest
}

fn settings(local: bool) -> Settings {
    let services = if local { Services::Local(BTreeMap::new()) } else { Services::Cluster(BTreeMap::new()) };
    Settings { cluster_domain: "cluster.local".into(), services, ca_bundles: BTreeMap::new(), addresses: Vec::new() }
}

/// A cluster in which everything exists that an object refers to.
fn cluster_for(value: &Value) -> Settings {
    let References { services, config_maps } = references(value);
    let facts = ServiceFacts { ports: vec![80, 81, 8080, 65535], external_name: false };
    let certificate = rcgen::generate_simple_self_signed(["ca".to_owned()]).unwrap().cert.pem();
    let data = BTreeMap::from([("ca.crt".to_owned(), certificate)]);
    Settings {
        services: Services::Cluster(services.into_iter().map(|name| (name, facts.clone())).collect()),
        ca_bundles: config_maps.into_iter().map(|name| (name, data.clone())).collect(),
        addresses: Vec::new(),
        ..settings(false)
    }
}

fn judged(value: Value) -> Result<Validated, Vec<Problem>> {
    let settings = cluster_for(&value);
    validate(&Gathered { source: Source::default(), value, text: String::new(), settings })
}

/// Judges every Distribution of a text, with the ConfigMaps of the same text, in a cluster that has every Service.
fn judged_file(text: &str) -> Vec<Result<Validated, Vec<Problem>>> {
    let documents = parse_documents("shop.yaml", text).unwrap();
    let (ours, others): (Vec<_>, Vec<_>) =
        documents.into_iter().partition(|document| document.value["kind"] == "Distribution");
    let config_maps = others.into_iter().filter(|document| document.value["kind"] == "ConfigMap").map(|document| {
        let name = document.value["metadata"]["name"].as_str().unwrap().to_owned();
        (name, serde_json::from_value(document.value["data"].clone()).unwrap())
    });
    let ca_bundles: BTreeMap<_, _> = config_maps.collect();
    ours.into_iter()
        .map(|document| {
            let settings = Settings { ca_bundles: ca_bundles.clone(), ..cluster_for(&document.value) };
            validate(&Gathered { source: document.source, value: document.value, text: document.text, settings })
        })
        .collect()
}

/// Judges the first document of a text.
fn judged_text(text: &str, settings: Settings) -> Result<Validated, Vec<Problem>> {
    let document = parse_documents("shop.yaml", text).unwrap().remove(0);
    validate(&Gathered { source: document.source, value: document.value, text: document.text, settings })
}
