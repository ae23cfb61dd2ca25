//! etcd, API server, controller manager and scheduler of Kubernetes on loopback. Nobody runs pods: a test plays the nodes
//! ([`ControlPlane::create_node`]) and, where it needs pods that run, the kubelets ([`super::PlayedKubelet`]).

use std::net::TcpListener;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{OnceCell, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use super::access::OWN;
use super::supervisor::{self, Supervisor};
use super::{Access, AuditEvent, AuditMark, audit};

/// How often another port is tried when somebody took the one that was free.
const ATTEMPTS: usize = 5;

/// A running control plane. [`Access`] is what can be done with it.
pub struct ControlPlane {
    access: Access,
    running: Arc<Supervisor>,
    #[expect(dead_code, reason = "held for as long as the test uses the control plane")]
    turn: Turn,
}

/// Who else uses the same control plane meanwhile.
enum Turn {
    Nobody,
    #[expect(dead_code, reason = "released when dropped")]
    Others(OwnedRwLockReadGuard<()>),
    #[expect(dead_code, reason = "released when dropped")]
    NobodyForNow(OwnedRwLockWriteGuard<()>),
}

/// The control plane that the tests of one process share; it ends with the process.
struct Shared {
    running: Arc<Supervisor>,
    turns: Arc<RwLock<()>>,
}

async fn shared() -> &'static Shared {
    static SHARED: OnceCell<Shared> = OnceCell::const_new();
    let start = async || Shared { running: Arc::new(start()), turns: Arc::default() };
    SHARED.get_or_init(start).await
}

impl ControlPlane {
    /// One of its own.
    pub fn start() -> Self {
        Self::over(Arc::new(start()), Turn::Nobody)
    }

    /// The shared one, together with other tests. For what stays within a namespace: no nodes, and no operator, which
    /// would act on the objects of every test.
    pub async fn shared() -> Self {
        let shared = shared().await;
        let turn = Arc::clone(&shared.turns).read_owned().await;
        Self::over(Arc::clone(&shared.running), Turn::Others(turn))
    }

    /// The shared one for this test alone until it is dropped, without nodes, Distributions or namespaces of the tests
    /// before.
    pub async fn exclusive() -> Self {
        let shared = shared().await;
        let turn = Arc::clone(&shared.turns).write_owned().await;
        let plane = Self::over(Arc::clone(&shared.running), Turn::NobodyForNow(turn));
        plane.clear().await;
        plane
    }

    fn over(running: Arc<Supervisor>, turn: Turn) -> Self {
        let folder = running.folder().to_owned();
        let access = Access::new(folder.join("kubeconfig"), programs().join("kubectl"), folder);
        Self { access, running, turn }
    }

    /// Removes what other tests have left, as far as it could act on this one. Their namespaces go in the background.
    async fn clear(&self) {
        let has_distributions = self.kubectl(&["get", "crd", "distributions.proxima.dev"]).await.status.success();
        if has_distributions {
            self.kubectl(&["delete", "distributions.proxima.dev", "--all", "--all-namespaces"]).await.ok();
        }
        let namespaces = ["delete", "namespaces", "-l", &format!("{OWN}=true"), "--wait=false"];
        self.kubectl(&namespaces).await.ok();
        self.kubectl(&["delete", "deployments,replicasets", "--all", "--all-namespaces"]).await.ok();
        self.kubectl(&["delete", "pods", "--all", "--all-namespaces", "--grace-period=0", "--force"]).await.ok();
        self.kubectl(&["delete", "nodes", "--all"]).await.ok();
    }

    /// A place in the audit log, after all that has been answered so far.
    pub async fn audit_mark(&self) -> AuditMark {
        audit::mark(&self.access, &self.audit_log()).await
    }

    /// The mutating requests of `user` since then, such as `system:serviceaccount:NAMESPACE:NAME`; of all users when empty.
    pub async fn audit(&self, since: AuditMark, user: &str) -> Vec<AuditEvent> {
        audit::since(&self.access, &self.audit_log(), since, user).await
    }

    fn audit_log(&self) -> PathBuf {
        self.running.folder().join("audit.log")
    }
}

impl Deref for ControlPlane {
    type Target = Access;

    fn deref(&self) -> &Access {
        &self.access
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        // One that is this test's own explains itself when it ends.
        if std::thread::panicking() && Arc::strong_count(&self.running) > 1 {
            self.running.explain();
        }
    }
}

fn programs() -> PathBuf {
    supervisor::build("control-plane")
}

fn start() -> Supervisor {
    let programs = programs();
    let mut said = String::new();
    for _ in 0..ATTEMPTS {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.expect("loopback has a free port").port().to_string();
        let arguments = ["--port", &port, "--bin", &programs.to_string_lossy()];
        match Supervisor::start("control-plane", &arguments) {
            Ok(running) => return running,
            Err(error) if error.contains("address already in use") => said = error,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("no port stayed free in {ATTEMPTS} attempts: {said}");
}
