//! Where nothing changed, nothing is written.

use tokio::time::Instant;

use proxima_tests::{ControlPlane, Operator, wait_until};
use serde_json::json;

use crate::cluster::{Cluster, condition, distribution};

const DISTRIBUTIONS: usize = 200;

#[tokio::test]
async fn nothing_is_written_while_nothing_changes_nor_after_a_restart() {
    // Its own, so that nobody has to wait until all of this is removed.
    let plane = ControlPlane::start();
    let operator = Operator::start(&plane, &[]).await;
    let mut cluster = Cluster::of(plane, operator).await;
    cluster.plane.create_node("node-x", Some("x")).await;
    let started = Instant::now();
    for number in 0..DISTRIBUTIONS {
        let spec = json!({"zones": [{"name": "a"}], "edge": {"replicasPerZone": 1}});
        let object = distribution(&format!("d{number}"), spec);
        cluster.admin.create(&cluster.path("distributions", ""), object).await;
    }
    settled(&cluster).await;
    println!("{DISTRIBUTIONS} Distributions were settled after {:?}; {}", started.elapsed(), memory(&cluster));

    // A label of a node could concern every Distribution, and concerns none.
    let mark = cluster.plane.audit_mark().await;
    for round in 0..2 {
        let before = cluster.reconciles().await;
        let label = json!({"metadata": {"labels": {"example.com/round": round.to_string()}}});
        cluster.admin.merge("/api/v1/nodes/node-x", label).await;
        cluster.until_reconciles(before + DISTRIBUTIONS as f64).await;
    }
    let user = cluster.operator.user();
    let written = cluster.plane.audit(mark, &user).await;
    assert!(written.is_empty(), "{written:#?}");

    let status = cluster.operator.terminate().await;
    assert!(status.success(), "{status}");
    let mark = cluster.plane.audit_mark().await;
    let started = Instant::now();
    cluster.operator = cluster.operator.restart().await;
    cluster.operator.ready().await;
    cluster.until_reconciles(DISTRIBUTIONS as f64).await;
    println!(
        "{DISTRIBUTIONS} Distributions were looked at {:?} after a start; {}",
        started.elapsed(),
        memory(&cluster)
    );
    // Once more, so that what the first round found out has been written, had it been anything.
    cluster.admin.merge("/api/v1/nodes/node-x", json!({"metadata": {"labels": {"example.com/round": "last"}}})).await;
    cluster.until_reconciles(2.0 * DISTRIBUTIONS as f64).await;
    let mut written = cluster.plane.audit(mark, &user).await;
    written.retain(|event| event.resource != "leases");
    assert!(written.is_empty(), "{written:#?}");
}

/// Waits until every pod was looked at by the scheduler, which finds no node, and its word is in every status.
async fn settled(cluster: &Cluster) {
    let mut count = 0;
    // However long it takes, as long as there is progress.
    while count < DISTRIBUTIONS {
        count = wait_until(&format!("more than {count} statuses tell of the scheduler"), async || {
            let list = cluster.admin.get(&cluster.path("distributions", "")).await;
            let told = |object: &&serde_json::Value| condition(object, "Deployed").2.contains("Unschedulable");
            let now = list["items"].as_array().unwrap().iter().filter(told).count();
            let first = list["items"][0]["status"].clone();
            if now > count { Ok(now) } else { Err(format!("{now}; {first:#}")) }
        })
        .await;
    }
}

/// What the operator occupies, for whoever reads the test's output.
fn memory(cluster: &Cluster) -> String {
    let pid = cluster.operator.process.pid();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    line.unwrap_or("memory unknown").split_whitespace().collect::<Vec<_>>().join(" ")
}
