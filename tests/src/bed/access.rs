//! What a test does with an API server: `kubectl` as a user would, and a client for what it asks often.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::wait::{wait_until, within};

/// Label of the namespaces that the harness makes.
pub(super) const OWN: &str = "proxima.test/own";

/// Names that no two tests of one process share.
static NAMES: AtomicUsize = AtomicUsize::new(0);

/// An administrator's access to a cluster.
#[derive(Clone, Debug)]
pub struct Access {
    kubeconfig: PathBuf,
    kubectl: PathBuf,
    /// Where kubeconfigs of others are written.
    folder: PathBuf,
}

/// What a command answered.
#[derive(Clone, Debug)]
pub struct Ran {
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ran {
    /// Standard output of a command that must have succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.status.success(), "{}\nstdout: {}\nstderr: {}", self.status, self.stdout, self.stderr);
        self.stdout
    }

    /// Standard output of a command that must have succeeded, as JSON.
    #[track_caller]
    pub fn json(self) -> Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
    }
}

impl Access {
    pub(super) fn new(kubeconfig: PathBuf, kubectl: PathBuf, folder: PathBuf) -> Self {
        Self { kubeconfig, kubectl, folder }
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Where the bed has its state and its logs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs `kubectl` as the administrator.
    pub async fn kubectl(&self, arguments: &[&str]) -> Ran {
        self.kubectl_reading("", arguments).await
    }

    /// Runs `kubectl` with this standard input.
    pub async fn kubectl_reading(&self, input: &str, arguments: &[&str]) -> Ran {
        let mut command = Command::new(&self.kubectl);
        command.args(arguments).env("KUBECONFIG", &self.kubeconfig).kill_on_drop(true);
        // Without a home, nothing of the person who runs the tests is read, and nothing is cached there.
        command.env("HOME", &self.folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", self.kubectl.display()));
        let mut stdin = child.stdin.take().expect("stdin is piped");
        let output = async {
            let written = async move {
                // It may refuse its arguments and end without reading.
                let _ = stdin.write_all(input.as_bytes()).await;
            };
            tokio::join!(written, child.wait_with_output()).1
        };
        let output = within(&format!("kubectl {arguments:?}"), output).await.expect("the output can be read");
        Ran {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// `kubectl apply --server-side`, which must succeed.
    pub async fn apply(&self, yaml: &str) {
        self.kubectl_reading(yaml, &["apply", "--server-side", "-f", "-"]).await.ok();
    }

    /// Applies the CustomResourceDefinitions that the operator prints, and waits until the API server serves them.
    pub async fn apply_crds(&self) {
        self.apply(&crate::bed::operator::crds()).await;
        self.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]).await.ok();
    }

    /// A client. It belongs to the runtime that it is made in.
    pub async fn client(&self) -> Client {
        self.client_for(&self.kubeconfig).await
    }

    /// A client with another's kubeconfig.
    pub async fn client_for(&self, kubeconfig: &Path) -> Client {
        let read = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig can be read");
        let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
        Client::try_from(config.expect("a kubeconfig is complete")).expect("a client can be made")
    }

    /// A new namespace; its name begins with `prefix`. Returns when pods can be made in it.
    pub async fn namespace(&self, prefix: &str) -> String {
        let name = format!("{prefix}-{}-{}", std::process::id(), NAMES.fetch_add(1, Ordering::Relaxed));
        let object = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {OWN: "true"}},
        });
        self.apply(&object.to_string()).await;
        wait_until("the service account of a new namespace", async || {
            let found = self.kubectl(&["get", "serviceaccount", "default", "-n", &name]).await;
            if found.status.success() { Ok(()) } else { Err(found.stderr) }
        })
        .await;
        name
    }

    /// Removes what other tests have left, as far as it could act on the next one. Their namespaces go in the background.
    pub(super) async fn clear(&self) {
        let has_distributions = self.kubectl(&["get", "crd", "distributions.proxima.dev"]).await.status.success();
        if has_distributions {
            self.kubectl(&["delete", "distributions.proxima.dev", "--all", "--all-namespaces"]).await.ok();
        }
        let namespaces = ["delete", "namespaces", "-l", &format!("{OWN}=true"), "--wait=false"];
        self.kubectl(&namespaces).await.ok();
        self.kubectl(&["delete", "deployments,replicasets", "--all", "--all-namespaces"]).await.ok();
        self.kubectl(&["delete", "pods", "--all", "--all-namespaces", "--grace-period=0", "--force"]).await.ok();
    }

    /// A kubeconfig with the rights of a service account, by a token as a pod gets one.
    pub async fn kubeconfig_for_service_account(&self, namespace: &str, name: &str) -> PathBuf {
        let token = self.kubectl(&["create", "token", name, "-n", namespace, "--duration", "24h"]).await.ok();
        let mut config = self.kubectl(&["config", "view", "--raw", "--minify", "--flatten", "-o", "json"]).await.json();
        config["users"][0]["user"] = json!({"token": token.trim()});
        config["contexts"][0]["context"]["namespace"] = namespace.into();
        let path = self.folder.join(format!("{namespace}.{name}.kubeconfig"));
        std::fs::write(&path, config.to_string()).expect("a kubeconfig can be written");
        path
    }
}
