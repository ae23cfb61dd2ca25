//! `proxima-operator run` against a control plane.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use serde_json::Value;

use super::Access;
use crate::metrics::Metrics;
use crate::process::{self, Process};
use crate::viewer::Response;
use crate::wait::wait_until;

/// The image that its Deployments name. Whoever plays the kubelet runs the binary of this workspace for it.
pub const EDGE_IMAGE: &str = "proxima.test/edge:dev";
/// Name of its service account.
const ACCOUNT: &str = "proxima-operator";
/// The namespace that [`INSTALL`] is written for.
const INSTALL_NAMESPACE: &str = "proxima-system";
/// What users install without Helm. Its service account and rights are used as they are, so that every suite shows that
/// they are enough.
const INSTALL: &str = include_str!("../../../charts/install.yaml");

/// A running operator.
pub struct Operator {
    /// The process.
    pub process: Process,
    /// Where `/metrics` and the probes are.
    pub admin: SocketAddr,
    /// Its own namespace.
    pub namespace: String,
    kubeconfig: PathBuf,
    flags: Vec<String>,
}

/// What `proxima-operator crds` prints.
pub fn crds() -> String {
    let ran = Command::new(binary()).arg("crds").output().expect("the operator's binary runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).expect("YAML is text")
}

fn binary() -> PathBuf {
    process::binary("PROXIMA_OPERATOR_BIN", "proxima-operator")
}

/// Service account and rights of the operator in this namespace.
fn rights(namespace: &str) -> String {
    let mut objects = Vec::new();
    let documents: Vec<Value> = serde_yaml::from_multiple(INSTALL).expect("the installation is YAML");
    for mut object in documents {
        match object["kind"].as_str() {
            Some("ServiceAccount" | "ClusterRole" | "Role" | "RoleBinding") => {}
            // One for each operator of a test, where others would take the subject away.
            Some("ClusterRoleBinding") => object["metadata"]["name"] = format!("{ACCOUNT}-{namespace}").into(),
            _ => continue,
        }
        let text = object.to_string().replace(&format!("\"{INSTALL_NAMESPACE}\""), &format!("\"{namespace}\""));
        objects.push(text);
    }
    assert!(objects.len() >= 5, "the installation has an account and its rights: {objects:?}");
    objects.join("\n---\n")
}

impl Operator {
    /// Installs it as a chart would (CustomResourceDefinitions, namespace, service account, rights) and starts it.
    pub async fn start(access: &Access, flags: &[&str]) -> Self {
        let namespace = Self::install(access).await;
        Self::start_in(access, &namespace, flags).await
    }

    /// Installs it without starting it; returns its namespace.
    pub async fn install(access: &Access) -> String {
        access.apply_crds().await;
        let namespace = access.namespace("operator").await;
        access.apply(&rights(&namespace)).await;
        namespace
    }

    /// Starts one more in a namespace where it is installed.
    pub async fn start_in(access: &Access, namespace: &str, flags: &[&str]) -> Self {
        let kubeconfig = access.kubeconfig_for_service_account(namespace, ACCOUNT).await;
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        Self::launch(namespace.to_owned(), kubeconfig, flags).await
    }

    async fn launch(namespace: String, kubeconfig: PathBuf, flags: Vec<String>) -> Self {
        let mut command = Command::new(binary());
        command.args(["run", "--admin", "127.0.0.1:0", "--edge-image", EDGE_IMAGE, "--namespace", &namespace]);
        command.args(&flags).env("KUBECONFIG", &kubeconfig);
        let mut process = Process::start(command);
        let json = |line: &str| serde_json::from_str::<Value>(line).ok();
        let line = process.line("the operator prints its address", 0, json).await;
        let admin = line["admin"].as_str().and_then(|address| address.parse().ok());
        let admin = admin.unwrap_or_else(|| panic!("no admin address in {line}"));
        Self { process, admin, namespace, kubeconfig, flags }
    }

    /// As whom it asks the API server, in the words of the audit log.
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{}:{ACCOUNT}", self.namespace)
    }

    /// GET on the admin port.
    pub async fn admin(&self, path: &str) -> Response {
        crate::viewer::get_with(self.admin, path, "Connection: close\r\n").await
    }

    /// Waits until it has seen everything once.
    pub async fn ready(&self) {
        wait_until("the operator is ready", async || {
            let answer = self.admin("/readyz").await;
            if answer.status() == 200 {
                Ok(())
            } else {
                Err(format!("{}; {}", answer.text(), self.process.stderr.text()))
            }
        })
        .await;
    }

    /// Scrapes the metrics.
    pub async fn metrics(&self) -> Metrics {
        Metrics::parse(&self.admin("/metrics").await.text())
    }

    /// Asks it to stop, and waits for its end.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.process.signal("TERM");
        self.process.ended().await
    }

    /// Kills it as `kill -9` does, and waits for its end.
    pub async fn kill(&mut self) {
        self.process.signal("KILL");
        self.process.ended().await;
    }

    /// Starts another in its place, with the same service account and flags. The old one should have ended.
    pub async fn restart(self) -> Self {
        let Self { process, namespace, kubeconfig, flags, .. } = self;
        drop(process);
        Self::launch(namespace, kubeconfig, flags).await
    }
}
