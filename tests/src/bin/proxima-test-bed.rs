//! A process that holds a test bed, for tests of what happens when a test process dies: prints the bed's folder once the
//! bed is up, and waits for the end of standard input. `control-plane`, or `cluster` with a pod that runs.

#![allow(clippy::print_stdout, clippy::panic, reason = "its output is what it is for; it fails by panicking")]

use std::io::Read;
use std::path::Path;

use proxima_tests::{Cluster, ControlPlane};

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("control-plane") => hold(ControlPlane::start().folder()),
        Some("cluster") => {
            let cluster = Cluster::start();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime can be made").block_on(start_a_pod(&cluster));
            hold(cluster.folder());
        }
        other => panic!("control-plane or cluster; not {other:?}"),
    }
}

fn hold(folder: &Path) {
    println!("{}", folder.display());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

/// Of the one image that every node has.
async fn start_a_pod(cluster: &Cluster) {
    let namespace = cluster.namespace("held").await;
    let run = ["run", "pause", "--image=proxima.test/pause:1", "--image-pull-policy=Never", "-n", &namespace];
    cluster.kubectl(&run).await.ok();
    cluster.kubectl(&["wait", "--for=condition=Ready", "pod/pause", "-n", &namespace, "--timeout=55s"]).await.ok();
}
