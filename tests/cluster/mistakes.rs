//! Typical mistakes, and whether `kubectl describe` names what is wrong: in a condition, or in an event.

use serde_json::{Value, json};

use crate::release::{Release, charts, distribution, eventually};
use crate::site::{Site, condition};

/// Applies a manifest and waits until conditions and events name the thing, each in the words of a person's question.
async fn is_told(site: &Site<'_>, spec: &Value, kind: &str, reason: &str, words: &[&str]) {
    site.release.apply_in(site.namespace, &distribution(site.name, spec)).await.ok();
    let what = format!("{} is told: {reason}, {words:?}", site.name);
    let object = site
        .shows(&what, |object| {
            condition(object, kind).is_some_and(|(status, found, message)| {
                status == "False" && found == reason && words.iter().all(|word| message.contains(word))
            })
        })
        .await;
    let (_, _, message) = condition(&object, kind).unwrap();
    println!("  {kind}=False {reason}: {message}");
    eventually("an event says the same", async || {
        let said = site.release.kubectl(&["describe", "distribution", site.name, "-n", site.namespace]).await.ok();
        let events = said.split_once("\nEvents:").map(|(_, events)| events.to_owned()).unwrap_or_default();
        let is_said = events.contains(reason) && words.iter().all(|word| events.contains(word));
        if is_said { Ok(()) } else { Err(said) }
    })
    .await;
}

#[tokio::test]
async fn a_name_that_leads_nowhere_is_told() {
    let mut release = Release::take("mistakes: names").await;
    let namespace = &*release.own_namespace("names").await;
    release.start_origin(namespace, "site", 1).await;
    let site = |name| Site { release: &release, namespace, name };

    let service = json!({"origins": [{"name": "site", "service": {"name": "stie", "port": 80}}]});
    is_told(&site("service"), &service, "Accepted", "ServiceNotFound", &["stie"]).await;
    let port = json!({"origins": [{"name": "site", "service": {"name": "site", "port": 81}}]});
    is_told(&site("port"), &port, "Accepted", "ServicePortNotFound", &["site", "81"]).await;
    let zone = json!({"zones": [{"name": "mars-1a", "replicas": 1}]});
    is_told(&site("zone"), &zone, "Ready", "PodsFailing", &["mars-1a"]).await;

    let origin = json!({"defaultCacheBehavior": {"targetOrigin": "stie"}});
    let refused = release.apply_in(namespace, &distribution("origin", &origin)).await;
    let said = if refused.status.success() {
        let accepted = |object: &Value| condition(object, "Accepted").is_some_and(|(status, ..)| status == "False");
        let object = site("origin").shows("a misspelt origin is told", accepted).await;
        condition(&object, "Accepted").unwrap().2
    } else {
        refused.stderr
    };
    println!("  {said}");
    assert!(said.contains("targetOrigin") && said.contains("origins"), "{said}");
}

#[tokio::test]
async fn pods_that_may_not_or_cannot_be_made_are_told() {
    let mut release = Release::take("mistakes: quota and image").await;
    let namespace = &*release.own_namespace("pods").await;
    release.start_origin(namespace, "site", 1).await;
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}, "spec": {"hard": {"pods": "1"}},
    });
    release.apply_in(namespace, &quota.to_string()).await.ok();
    eventually("the quota is counted", async || {
        let used = release.object(namespace, "resourcequota", "few").await["status"]["used"]["pods"].clone();
        if used == "1" { Ok(()) } else { Err(used.to_string()) }
    })
    .await;
    let zone = release.zones().await.remove(0);
    let one = json!({"zones": [{"name": zone, "replicas": 1}]});
    let limited = Site { release: &release, namespace, name: "quota" };
    is_told(&limited, &one, "Ready", "PodsFailing", &["exceeded quota: few", &zone]).await;
    release.kubectl(&["delete", "distribution", "quota", "-n", namespace]).await.ok();
    release.kubectl(&["delete", "resourcequota", "few", "-n", namespace]).await.ok();

    release.install(&charts().join("proxima"), &["edge.image.tag=misspelt"]).await;
    release.operator_runs().await;
    let image = Site { release: &release, namespace, name: "image" };
    is_told(&image, &one, "Ready", "PodsFailing", &["proxima.test/edge:misspelt", &zone]).await;
    release.install(&charts().join("proxima"), &[]).await;
    release.operator_runs().await;
    image.holds("Ready").await;
}
