//! The test bed itself: what tests rely on without looking.

use std::path::{Path, PathBuf};
use std::process::Command;

use proxima_tests::bed::cluster::ZONES;
use proxima_tests::process::{Process, alive, binary, send_signal};
use proxima_tests::{Cluster, viewer, wait_until};
use serde_json::Value;

/// Zones of the nodes that are ready.
async fn ready_zones(cluster: &Cluster) -> Vec<String> {
    let nodes = cluster.kubectl(&["get", "nodes", "-o", "json"]).await.json();
    let ready = |node: &&Value| {
        let conditions = node["status"]["conditions"].as_array().unwrap();
        conditions.iter().any(|one| one["type"] == "Ready" && one["status"] == "True")
    };
    let zone = |node: &Value| node["metadata"]["labels"]["topology.kubernetes.io/zone"].as_str().unwrap().to_owned();
    nodes["items"].as_array().unwrap().iter().filter(ready).map(zone).collect()
}

#[tokio::test]
async fn every_zone_has_a_ready_node_and_pods_reach_a_service_by_its_name() {
    let cluster = Cluster::shared().await;
    let zones = ready_zones(&cluster).await;
    if cluster.is_ours() {
        assert_eq!(zones, ZONES);
    }
    let namespace = cluster.namespace("reach").await;
    cluster.start_origin(&namespace, "site", 1).await;
    cluster.start_origin(&namespace, "viewer", 1).await;
    let url = format!("http://site.{namespace}.svc.cluster.local/page?x=1");
    let answers = cluster.fetch(&namespace, "viewer", &url, 2).await;
    for answer in &answers {
        assert_eq!((answer.status, &*answer.body), (200, "/page?x=1"));
        assert_eq!(answer.field("cache-control"), Some("max-age=3600"));
    }
    let stats = &cluster.fetch(&namespace, "viewer", "http://site/stats", 1).await[0];
    assert_eq!(stats.body, r#"{"paths":{"/page?x=1":2},"requests":2}"#);

    if cluster.is_ours() {
        let service = cluster.kubectl(&["get", "service", "site", "-n", &namespace, "-o", "json"]).await.json();
        let address = service["spec"]["clusterIP"].as_str().unwrap().parse().unwrap();
        let answer = viewer::get(std::net::SocketAddr::new(address, 80), "/direct").await;
        assert_eq!((answer.status(), &*answer.text()), (200, "/direct"), "the test's own thread is in the cluster");
    }
}

/// Processes with a file or a working directory in a folder, and mounts and control groups that name it.
fn traces(folder: &Path) -> Vec<String> {
    let name = folder.to_string_lossy().into_owned();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let command = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut traces: Vec<_> = pids
        .filter(|pid| *pid != std::process::id() && command(*pid).contains(&name) && alive(*pid))
        .map(|pid| format!("process {pid}: {}", command(pid).replace('\0', " ")))
        .collect();
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    traces.extend(mounts.lines().filter(|line| line.contains(&name)).map(str::to_owned));
    traces.extend(folder.exists().then(|| format!("folder {name}")));
    traces
}

/// Control groups of containers on this machine.
fn control_groups() -> Vec<PathBuf> {
    let tops = std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|entry| entry.path());
    let tops = tops.chain([PathBuf::from("/sys/fs/cgroup")]).map(|top| top.join("k8s.io"));
    tops.flat_map(|top| std::fs::read_dir(top).into_iter().flatten().flatten()).map(|entry| entry.path()).collect()
}

/// Identifiers of the containers of a cluster that runs.
fn containers(folder: &Path) -> Vec<String> {
    let nodes =
        (1..=ZONES.len()).map(|node| folder.join(format!("node-{node}/run/io.containerd.runtime.v2.task/k8s.io")));
    let entries = nodes.flat_map(|tasks| std::fs::read_dir(tasks).into_iter().flatten().flatten());
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[tokio::test]
async fn a_killed_test_process_leaves_nothing_of_its_cluster() {
    let mut command = Command::new(binary("PROXIMA_TEST_BED_BIN", "proxima-test-bed"));
    command.arg("cluster");
    let mut holder = Process::start(command);
    let folder = holder.line("the cluster is up", 0, |line| Some(PathBuf::from(line))).await;
    let (before, running) = (traces(&folder), containers(&folder));
    assert!(before.iter().any(|trace| trace.contains("containerd")), "the traces are looked for well: {before:#?}");
    assert!(!running.is_empty(), "a pod runs, so that there are containers to leave behind");
    send_signal(holder.pid(), "KILL");
    wait_until("nothing is left of the cluster", async || {
        let mut left = traces(&folder);
        let groups = control_groups();
        left.extend(
            groups
                .iter()
                .filter(|group| running.iter().any(|id| group.ends_with(id)))
                .map(|group| format!("{group:?}")),
        );
        if left.is_empty() { Ok(()) } else { Err(format!("{left:#?}")) }
    })
    .await;
}
