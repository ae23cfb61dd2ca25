//! etcd, API server, controller manager and scheduler of Kubernetes on loopback. Nobody runs pods: a test plays the nodes
//! ([`super::Access::create_node`]) and, where it needs pods that run, the kubelets ([`super::PlayedKubelet`]).

use std::net::TcpListener;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{OnceCell, RwLock};

use super::supervisor::{self, Supervisor};
use super::turn::Turn;
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
        Self::over(Arc::new(start()), Turn::Own)
    }

    /// The shared one, together with other tests. For what stays within a namespace: no nodes, and no operator, which
    /// would act on the objects of every test.
    pub async fn shared() -> Self {
        let shared = shared().await;
        Self::over(Arc::clone(&shared.running), Turn::with_others(&shared.turns).await)
    }

    /// The shared one for this test alone until it is dropped, without nodes, Distributions or namespaces of the tests
    /// before.
    pub async fn exclusive() -> Self {
        let shared = shared().await;
        let plane = Self::over(Arc::clone(&shared.running), Turn::alone(&shared.turns).await);
        plane.clear().await;
        plane.kubectl(&["delete", "nodes", "--all"]).await.ok();
        plane
    }

    fn over(running: Arc<Supervisor>, turn: Turn) -> Self {
        let folder = running.folder().to_owned();
        let access = Access::new(folder.join("kubeconfig"), programs().join("kubectl"), folder);
        Self { access, running, turn }
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

/// Where the programs are: named by the variable that tests of controllers use for them, when all are there, else built.
pub(super) fn programs() -> PathBuf {
    let all = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"];
    let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
    let assets = assets.filter(|folder| all.iter().all(|program| folder.join(program).exists()));
    assets.unwrap_or_else(|| supervisor::build("control-plane"))
}

fn start() -> Supervisor {
    let programs = programs();
    let mut said = String::new();
    for _ in 0..ATTEMPTS {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.expect("loopback has a free port").port().to_string();
        let arguments = ["%", "--port", &port, "--bin", &programs.to_string_lossy()];
        match Supervisor::start("control-plane", &arguments) {
            Ok(running) => return running,
            Err(error) if error.contains("address already in use") => said = error,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("no port stayed free in {ATTEMPTS} attempts: {said}");
}
