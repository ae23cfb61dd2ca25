//! What the scenarios share: the cluster with both charts installed by Helm as the README says, and one test at a time.
//!
//! Scenarios stop the operator, replace it and remove it, so that no two of them can run at once. Each begins with the
//! release as a user would have it, whatever the one before left, and with a namespace of its own.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex as Plain, PoisonError};
use std::time::Duration;

use proxima_tests::bed::Ran;
use proxima_tests::{Cluster, Metrics};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep, timeout};

use crate::site::process;

/// Namespace of the operator.
pub(crate) const NAMESPACE: &str = "proxima-system";
/// Who the operator is to the API server.
pub(crate) const ACCOUNT: &str = "system:serviceaccount:proxima-system:proxima-operator";
/// How long a pod may take to run, or Helm to finish: far beyond what is ever seen, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(150);
/// How often a condition is looked at. Each look is a process.
const LOOK: Duration = Duration::from_millis(200);

static TURN: Mutex<()> = Mutex::const_new(());
/// Namespaces of the tests before.
static LEFT: Plain<Vec<String>> = Plain::new(Vec::new());

/// The release, for one test.
pub(crate) struct Release {
    cluster: Cluster,
    namespaces: Vec<String>,
    started: Instant,
    #[expect(dead_code, reason = "released when dropped")]
    turn: MutexGuard<'static, ()>,
}

impl Deref for Release {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

/// A folder of charts in the repository.
pub(crate) fn charts() -> PathBuf {
    repository().join("charts")
}

/// The root of the repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests crate has a parent folder")
}

/// Waits for a condition that takes pods, and returns what it answered; panics with what it saw last.
pub(crate) async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Result<T, String>) -> T {
    let started = Instant::now();
    loop {
        match probe().await {
            Ok(value) => {
                eprintln!("  {:>5.1} s until {what}", started.elapsed().as_secs_f64());
                return value;
            }
            Err(state) if started.elapsed() > PATIENCE => {
                panic!("waited {PATIENCE:?} until {what}; last seen: {state}")
            }
            Err(_) => sleep(LOOK).await,
        }
    }
}

impl Release {
    /// The release with the values that every test starts from, when no other test uses it.
    pub(crate) async fn take(title: &str) -> Self {
        let turn = TURN.lock().await;
        let cluster = Cluster::shared().await;
        eprintln!("{title}");
        let release = Self { cluster, namespaces: Vec::new(), started: Instant::now(), turn };
        let left = std::mem::take(&mut *LEFT.lock().unwrap_or_else(PoisonError::into_inner));
        for namespace in left {
            release.kubectl(&["delete", "namespace", &namespace, "--wait=false", "--ignore-not-found"]).await.ok();
        }
        release.install_crds().await;
        release.install(&charts().join("proxima"), &[]).await;
        release.operator_runs().await;
        release
    }

    /// Installs or upgrades the definitions.
    pub(crate) async fn install_crds(&self) {
        let chart = charts().join("proxima-crds");
        self.helm(&["upgrade", "--install", "proxima-crds", &chart.to_string_lossy(), "--namespace", "default"])
            .await
            .ok();
    }

    /// Installs or upgrades the operator from a chart, with the images of this workspace and further settings.
    pub(crate) async fn install(&self, chart: &Path, settings: &[&str]) {
        let chart = chart.to_string_lossy();
        let mut arguments =
            vec!["upgrade", "--install", "proxima", &*chart, "--namespace", NAMESPACE, "--create-namespace"];
        arguments.extend(["--set", "image.repository=proxima.test/operator,image.tag=dev"]);
        arguments.extend(["--set", "edge.image.repository=proxima.test/edge,edge.image.tag=dev"]);
        for setting in settings {
            arguments.extend(["--set", setting]);
        }
        self.helm(&arguments).await.ok();
    }

    /// Runs Helm as the administrator, apart from the settings of whoever runs the tests.
    pub(crate) async fn helm(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(helm());
        command.args(arguments).env("KUBECONFIG", self.kubeconfig()).stdin(Stdio::null()).kill_on_drop(true);
        for home in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(home, self.folder().join("helm"));
        }
        let ran = timeout(PATIENCE, command.output()).await;
        let output =
            ran.unwrap_or_else(|_| panic!("helm {arguments:?} takes longer than {PATIENCE:?}")).expect("helm runs");
        Ran {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Waits until the operator of the newest revision of the release runs and has read what it watches.
    pub(crate) async fn operator_runs(&self) {
        eventually("the operator runs", async || {
            let deployment = self.object(NAMESPACE, "deployment", "proxima-operator").await;
            let (status, generation) = (&deployment["status"], &deployment["metadata"]["generation"]);
            let current = &status["observedGeneration"] == generation && status["updatedReplicas"] == 1;
            let runs = current && status["readyReplicas"] == 1 && status["replicas"] == 1;
            if runs { Ok(()) } else { Err(format!("{status:#}")) }
        })
        .await;
    }

    /// Ends the operator at once, without a chance to say goodbye, and keeps it from coming back.
    pub(crate) async fn kill_operator(&self) {
        let selector = ["-n", NAMESPACE, "-l", "app.kubernetes.io/name=proxima-operator"];
        let names = ["get", "pods", "-o", "jsonpath={.items[*].metadata.name}"];
        let pods = self.kubectl(&[&names[..], &selector[..]].concat()).await.ok();
        self.scale_operator(0).await;
        self.kubectl(&[&["delete", "pods", "--grace-period=0", "--force"], &selector[..]].concat()).await.ok();
        eventually("no operator is left", async || {
            let known = self.kubectl(&[&names[..], &selector[..]].concat()).await.ok();
            // The API server forgets a pod before it has ended.
            let runs = pods.split_whitespace().any(|pod| process("/proxima-operator", pod).is_some());
            if known.trim().is_empty() && !runs { Ok(()) } else { Err(known) }
        })
        .await;
    }

    /// How many operators there shall be.
    pub(crate) async fn scale_operator(&self, replicas: u32) {
        let replicas = format!("--replicas={replicas}");
        self.kubectl(&["scale", "deployment/proxima-operator", "-n", NAMESPACE, &replicas]).await.ok();
    }

    /// What the operator counts.
    pub(crate) async fn operator_metrics(&self) -> Metrics {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/services/proxima-operator:9090/proxy/metrics");
        Metrics::parse(&self.kubectl(&["get", "--raw", &path]).await.stdout)
    }

    /// Waits until the operator holds a link to so many edges.
    pub(crate) async fn links(&self, count: u32) {
        eventually(&format!("the operator is connected to {count} edges"), async || {
            let held = self.operator_metrics().await.sum("proxima_operator_link_connections");
            if held == f64::from(count) { Ok(()) } else { Err(format!("{held} links")) }
        })
        .await;
    }

    /// A namespace that takes only pods that pass the Pod Security level `restricted`. It goes with the next test.
    pub(crate) async fn own_namespace(&mut self, prefix: &str) -> String {
        let name = self.cluster.namespace(prefix).await;
        self.namespaces.push(name.clone());
        let levels = ["pod-security.kubernetes.io/enforce=restricted", "pod-security.kubernetes.io/warn=restricted"];
        self.kubectl(&[&["label", "namespace", &name], &levels[..]].concat()).await.ok();
        name
    }

    /// Applies a manifest as people do.
    pub(crate) async fn apply_in(&self, namespace: &str, manifest: &str) -> Ran {
        self.kubectl_reading(manifest, &["apply", "-n", namespace, "-f", "-"]).await
    }

    /// One object, or null.
    pub(crate) async fn object(&self, namespace: &str, kind: &str, name: &str) -> Value {
        let ran = self.kubectl(&["get", kind, name, "-n", namespace, "-o", "json"]).await;
        if ran.status.success() { ran.json() } else { Value::Null }
    }

    /// Objects of a kind that carry a label.
    pub(crate) async fn objects(&self, namespace: &str, kind: &str, label: &str) -> Vec<Value> {
        let list = self.kubectl(&["get", kind, "-n", namespace, "-l", label, "-o", "json"]).await.json();
        list["items"].as_array().unwrap().clone()
    }

    /// Zones of the cluster's nodes.
    pub(crate) async fn zones(&self) -> Vec<String> {
        let nodes = self.kubectl(&["get", "nodes", "-o", "json"]).await.json();
        let zone = |node: &Value| Some(node["metadata"]["labels"]["topology.kubernetes.io/zone"].as_str()?.to_owned());
        let mut zones: Vec<_> = nodes["items"].as_array().unwrap().iter().filter_map(zone).collect();
        zones.sort();
        zones.dedup();
        zones
    }

    /// What a Distribution is changed to be.
    pub(crate) async fn patch(&self, namespace: &str, name: &str, patch: &Value) {
        let patch = patch.to_string();
        self.kubectl(&["patch", "distribution", name, "-n", namespace, "--type=merge", "-p", &patch]).await.ok();
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let operator = ["logs", "-n", NAMESPACE, "deployment/proxima-operator", "--tail=60"];
            self.cluster.print(&operator);
            self.cluster.print(&["get", "pods", "--all-namespaces", "-o", "wide"]);
            for namespace in &self.namespaces {
                self.cluster.print(&["describe", "distributions", "-n", namespace]);
                self.cluster.print(&["get", "events", "-n", namespace, "--sort-by=.lastTimestamp"]);
            }
        } else {
            eprintln!("  {:>5.1} s in all", self.started.elapsed().as_secs_f64());
        }
        LEFT.lock().unwrap_or_else(PoisonError::into_inner).append(&mut self.namespaces);
    }
}

/// Helm: named by a variable, else built.
fn helm() -> PathBuf {
    if let Some(program) = std::env::var_os("PROXIMA_HELM") {
        return program.into();
    }
    let build = repository().join("tests/kube/build");
    let built = std::process::Command::new(build).arg("helm").stderr(Stdio::inherit()).output();
    let built = built.expect("tests/kube/build runs");
    assert!(built.status.success(), "tests/kube/build helm: {}", built.status);
    Path::new(String::from_utf8_lossy(&built.stdout).trim()).join("helm")
}

/// A Distribution in front of the Service `site`; its parts can be replaced by a merge patch.
pub(crate) fn distribution(name: &str, spec: &Value) -> String {
    let mut whole = json!({
        "origins": [{"name": "site", "service": {"name": "site", "port": 80}}],
        "defaultCacheBehavior": {"targetOrigin": "site", "cachePolicy": {"managed": "CachingOptimized"}},
    });
    for (field, value) in spec.as_object().unwrap() {
        whole[field] = value.clone();
    }
    json!({"apiVersion": "proxima.dev/v1alpha1", "kind": "Distribution", "metadata": {"name": name}, "spec": whole})
        .to_string()
}
