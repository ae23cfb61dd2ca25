//! A stand-in for the kubelets of all nodes, for the pods of one namespace.
//!
//! It does what a test of edges can see of a kubelet: runs the container's command with its arguments and mounted files,
//! probes it, reports addresses and readiness, starts it again when it dies, and lets it end when the pod is deleted. The
//! program is the `proxima-edge` of this workspace, whatever the image. Each pod has a loopback address of its own, so
//! that every one can use the same ports, as in a cluster; a port that something on this machine holds on all addresses
//! is taken, though.

mod container;
mod report;
mod round;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::Access;
use crate::viewer::Response;
use crate::wait::wait_until;

/// What becomes of a scheduled pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Play {
    /// An edge process runs for it.
    Edges,
    /// It is reported as running and ready, with an address where nobody is. Such addresses may be in EndpointSlices,
    /// which loopback addresses may not.
    StatusOnly,
}

/// A pod that is played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlayedPod {
    /// Name of the pod.
    pub name: String,
    /// Its zone, by its label.
    pub zone: String,
    /// Its node.
    pub node: String,
    /// Its address.
    pub ip: IpAddr,
    /// Process id of its edge, while it runs.
    pub pid: Option<u32>,
    /// Whether the last probe found it ready.
    pub ready: bool,
    /// How often the edge was started again.
    pub restarts: u32,
}

impl PlayedPod {
    /// Where viewers connect.
    pub fn http(&self) -> SocketAddr {
        SocketAddr::new(self.ip, 8080)
    }

    /// Where `/metrics` is.
    pub fn admin(&self) -> SocketAddr {
        SocketAddr::new(self.ip, 9090)
    }

    /// GET on a connection of its own.
    pub async fn get(&self, path: &str) -> Response {
        crate::viewer::get(self.http(), path).await
    }
}

/// Plays from its start until it is dropped. Pods and their processes end then; the pods' objects stay.
pub struct PlayedKubelet {
    seen: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread tells, and is told.
#[derive(Default)]
struct Shared {
    pods: Mutex<Vec<PlayedPod>>,
    volumes_held: AtomicBool,
}

impl PlayedKubelet {
    /// Starts to play.
    pub fn start(access: &Access, namespace: &str, play: Play) -> Self {
        let seen = Arc::<Shared>::default();
        let (stop, stopped) = oneshot::channel();
        let (access, namespace, shared) = (access.clone(), namespace.to_owned(), Arc::clone(&seen));
        // A thread, since a test may block its own.
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime can be made").block_on(round::play(access, namespace, play, shared, stopped));
        });
        Self { seen, stop: Some(stop), thread: Some(thread) }
    }

    /// The pods that are played now, in order of name.
    pub fn pods(&self) -> Vec<PlayedPod> {
        self.seen.pods.lock().unwrap().clone()
    }

    /// Waits until the pods are exactly `count`, all of them ready, and returns them.
    pub async fn ready(&self, count: usize) -> Vec<PlayedPod> {
        wait_until(&format!("{count} pods are ready"), async || {
            let pods = self.pods();
            if pods.len() == count && pods.iter().all(|pod| pod.ready) { Ok(pods) } else { Err(format!("{pods:#?}")) }
        })
        .await
    }

    /// While held, files of ConfigMaps and Secrets stay as they are in pods that have them: a kubelet may take minutes to
    /// notice a change. Here changes show at once otherwise.
    pub fn hold_volumes(&self, held: bool) {
        self.seen.volumes_held.store(held, Ordering::Relaxed);
    }
}

impl Drop for PlayedKubelet {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
