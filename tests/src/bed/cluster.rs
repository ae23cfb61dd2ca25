//! A Kubernetes with nodes: one in each of three zones, with containers, Services and DNS; or, where
//! `PROXIMA_TEST_KUBECONFIG` names one, a cluster that somebody else runs.
//!
//! A cluster of ours lives in a network namespace. A test's thread enters it, and with it what the test starts from there
//! and every connection that it makes, so that addresses of pods and Services can be used as from a node. On another
//! cluster only what goes through the API server works: [`Access`] and [`Cluster::fetch`].

use std::fs::File;
use std::ops::Deref;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, LazyLock};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{OnceCell, RwLock};

use super::supervisor::{self, Supervisor, scripts};
use super::turn::Turn;
use super::{Access, AuditEvent, AuditMark, audit, control_plane};

/// Zones of a cluster of ours, a node in each.
pub const ZONES: [&str; 3] = ["sa-east-1a", "sa-east-1b", "ca-central-1a"];
/// Image of the server that counts requests, which can also ask others.
pub const ORIGIN_IMAGE: &str = "proxima.test/origin:dev";
/// Image of the edge.
pub const EDGE_IMAGE: &str = "proxima.test/edge:dev";
/// Image of the operator.
pub const OPERATOR_IMAGE: &str = "proxima.test/operator:dev";

/// A cluster to test in. [`Access`] is what can be done with it from outside.
pub struct Cluster {
    access: Access,
    /// Absent for a cluster of somebody else.
    running: Option<Arc<Supervisor>>,
    #[expect(dead_code, reason = "held for as long as the test uses the cluster")]
    turn: Turn,
}

/// An answer that a pod got.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Fetched {
    /// Status code.
    pub status: u16,
    /// Fields in order.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Fetched {
    /// First value of a field, name in any case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// The cluster that the tests of one process share; it ends with the process.
struct Shared {
    /// Where it has its state, and the cluster when it is ours.
    folder: PathBuf,
    running: Option<Arc<Supervisor>>,
}

/// Who may use it; whoever starts it has a turn too.
static TURNS: LazyLock<Arc<RwLock<()>>> = LazyLock::new(Arc::default);

/// A turn for a test that has no use for the shared cluster, and nothing to spare for others either.
pub async fn alone() -> Turn {
    Turn::alone(&TURNS).await
}

async fn shared() -> &'static Shared {
    static SHARED: OnceCell<Shared> = OnceCell::const_new();
    SHARED
        .get_or_init(async || {
            let running = foreign().is_none().then(|| Arc::new(start()));
            let folder = running.as_ref().map_or_else(scratch, |running| running.folder().to_owned());
            let shared = Shared { folder, running };
            let first = Cluster::over(&shared.folder, shared.running.clone(), Turn::Own);
            first.load_images();
            shared
        })
        .await
}

impl Cluster {
    /// One of its own, without images.
    pub fn start() -> Self {
        let running = Arc::new(start());
        let folder = running.folder().to_owned();
        Self::over(&folder, Some(running), Turn::Own)
    }

    /// The shared one, together with other tests, with the images of this workspace.
    pub async fn shared() -> Self {
        let turn = Turn::with_others(&TURNS).await;
        let shared = shared().await;
        Self::over(&shared.folder, shared.running.clone(), turn)
    }

    /// The shared one for this test alone until it is dropped, without Distributions or namespaces of tests before.
    pub async fn exclusive() -> Self {
        let turn = Turn::alone(&TURNS).await;
        let shared = shared().await;
        let cluster = Self::over(&shared.folder, shared.running.clone(), turn);
        cluster.clear().await;
        cluster
    }

    fn over(folder: &Path, running: Option<Arc<Supervisor>>, turn: Turn) -> Self {
        let kubeconfig = if running.is_some() { folder.join("kubeconfig") } else { foreign().expect("not ours") };
        let access = Access::new(kubeconfig, control_plane::programs().join("kubectl"), folder.to_owned());
        let cluster = Self { access, running, turn };
        cluster.enter();
        cluster
    }

    /// Brings the calling thread where the cluster's addresses are. A test's own thread is there already.
    pub fn enter(&self) {
        let Some(running) = &self.running else { return };
        let first = std::fs::read_to_string(running.folder().join("first-process")).expect("a ready cluster has one");
        let path = format!("/proc/{}/ns/net", first.trim());
        let namespace = File::open(&path).unwrap_or_else(|error| panic!("opening {path}: {error}"));
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
            .unwrap_or_else(|error| panic!("entering {path}: {error}"));
    }

    /// Whether it is ours: its addresses can be reached, and it has an audit log.
    pub fn is_ours(&self) -> bool {
        self.running.is_some()
    }

    /// Gives an archive of images to every node.
    pub fn load_image(&self, archive: &Path) {
        let mut command = if self.is_ours() {
            let mut command = Command::new(scripts().join("cluster"));
            command.arg("load").arg(self.folder()).arg(archive);
            command
        } else {
            // Such as `kind load image-archive {}`.
            let template = std::env::var_os("PROXIMA_TEST_IMAGE_LOAD").expect("PROXIMA_TEST_IMAGE_LOAD is set");
            let mut command = Command::new("sh");
            command.arg("-c").arg(template.to_string_lossy().replace("{}", &archive.to_string_lossy()));
            command
        };
        let ran = command.stdin(Stdio::null()).output().expect("the command runs");
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "loading {}: {}: {said}", archive.display(), ran.status);
    }

    /// Gives the images of this workspace to every node.
    fn load_images(&self) {
        for archive in image_archives() {
            self.load_image(&archive);
        }
    }

    /// Starts a server that counts what it is asked, with a Service of its name on port 80, and waits until it answers.
    pub async fn start_origin(&self, namespace: &str, name: &str, replicas: usize) {
        let labels = json!({"app": name});
        let container = json!({
            "name": "origin", "image": ORIGIN_IMAGE, "imagePullPolicy": "IfNotPresent",
            "args": ["serve", "0.0.0.0:8080"], "ports": [{"name": "http", "containerPort": 8080}],
            "readinessProbe": {"httpGet": {"path": "/stats", "port": "http"}, "periodSeconds": 1},
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
        });
        // What namespaces ask for that enforce the Pod Security level `restricted`.
        let security = json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}});
        let spec = json!({
            "containers": [container], "securityContext": security, "terminationGracePeriodSeconds": 1,
        });
        let objects = json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace},
             "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
                      "template": {"metadata": {"labels": labels}, "spec": spec}}},
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace},
             "spec": {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}},
        ]});
        self.apply(&objects.to_string()).await;
        let deployment = format!("deployment/{name}");
        self.kubectl(&["rollout", "status", &deployment, "-n", namespace, "--timeout=55s"]).await.ok();
    }

    /// GET from within a pod of an origin started here, by whatever name the cluster's DNS knows: one answer for each time.
    pub async fn fetch(&self, namespace: &str, from: &str, url: &str, times: usize) -> Vec<Fetched> {
        let (pod, times) = (format!("deployment/{from}"), times.to_string());
        let get = ["exec", "-n", namespace, &pod, "--", "/proxima-test-origin", "get", url, &times];
        let lines = self.kubectl(&get).await.ok();
        let read = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
        lines.lines().map(read).collect()
    }

    /// A place in the audit log, after all that has been answered so far. Only of a cluster of ours.
    pub async fn audit_mark(&self) -> AuditMark {
        audit::mark(&self.access, &self.folder().join("audit.log")).await
    }

    /// The mutating requests of `user` since then; of all users when empty.
    pub async fn audit(&self, since: AuditMark, user: &str) -> Vec<AuditEvent> {
        audit::since(&self.access, &self.folder().join("audit.log"), since, user).await
    }
}

impl Deref for Cluster {
    type Target = Access;

    fn deref(&self) -> &Access {
        &self.access
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // One that is this test's own explains itself when it ends.
        if let Some(running) = &self.running
            && std::thread::panicking()
            && Arc::strong_count(running) > 1
        {
            running.explain();
        }
    }
}

/// The kubeconfig of a cluster that somebody else runs.
fn foreign() -> Option<PathBuf> {
    std::env::var_os("PROXIMA_TEST_KUBECONFIG").map(PathBuf::from)
}

/// A folder for what the harness writes when the cluster has none.
fn scratch() -> PathBuf {
    tempfile::tempdir().expect("a temporary folder can be made").keep()
}

fn start() -> Supervisor {
    supervisor::build("control-plane");
    supervisor::build("node");
    let arguments = [&["hold", "%"], &ZONES[..]].concat();
    Supervisor::start("cluster", &arguments).unwrap_or_else(|error| panic!("{error}"))
}

/// Archives of the images of this workspace, named `operator.tar` and so on. Builds what has changed.
pub fn image_archives() -> Vec<PathBuf> {
    let built = Command::new(scripts().join("images")).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let built = built.expect("tests/kube/images runs");
    assert!(built.status.success(), "tests/kube/images failed: {}", built.status);
    String::from_utf8_lossy(&built.stdout).lines().map(PathBuf::from).collect()
}
