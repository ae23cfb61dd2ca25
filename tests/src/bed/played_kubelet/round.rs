//! One look after another at the pods of the namespace, each bringing what is played nearer to what is wanted.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client, ResourceExt};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::container::{Container, Volumes};
use super::report::{self, Report};
use super::{Play, PlayedPod, Shared};
use crate::bed::Access;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);
/// How long an edge may take to end when its pod says nothing; as in Kubernetes.
const GRACE: i64 = 30;

/// One pod here.
struct Entry {
    uid: String,
    ip: IpAddr,
    container: Option<Container>,
    reported: Option<Report>,
    ending: Option<Instant>,
}

/// Plays until told to stop.
pub(super) async fn play(
    access: Access,
    namespace: String,
    play: Play,
    shared: Arc<Shared>,
    mut stopped: oneshot::Receiver<()>,
) {
    let client = access.client().await;
    let mut player = Player { client, namespace, play, shared, entries: BTreeMap::new() };
    loop {
        // A request that fails is told, and asked again in the next round.
        if let Err(error) = player.round().await {
            eprintln!("played kubelet of {}: {error}", player.namespace);
        }
        tokio::select! {
            _ = &mut stopped => return,
            () = sleep(PAUSE) => {}
        }
    }
}

struct Player {
    client: Client,
    namespace: String,
    play: Play,
    shared: Arc<Shared>,
    entries: BTreeMap<String, Entry>,
}

impl Player {
    async fn round(&mut self) -> Result<(), kube::Error> {
        let pods = self.api::<Pod>().list(&ListParams::default()).await?.items;
        let volumes = self.volumes().await?;
        // A pod of the same name may be another pod.
        self.entries.retain(|name, entry| {
            pods.iter().any(|pod| pod.name_any() == *name && pod.uid().as_deref() == Some(&*entry.uid))
        });
        let mut seen = Vec::new();
        for pod in pods.iter().filter(|pod| node(pod).is_some()) {
            let entry = self.entries.entry(pod.name_any()).or_insert_with(|| Entry::new(pod, self.play));
            if pod.metadata.deletion_timestamp.is_some() {
                if entry.ended(pod) {
                    remove(&self.client, &self.namespace, pod).await?;
                    continue;
                }
            } else {
                entry.run(pod, self.play, &volumes);
            }
            let report = entry.report(self.play).await;
            if entry.reported.as_ref() != Some(&report) {
                report::send(&self.client, pod, &report).await?;
                entry.reported = Some(report);
            }
            seen.push(entry.told(pod));
        }
        *self.shared.pods.lock().unwrap() = seen;
        Ok(())
    }

    async fn volumes(&self) -> Result<Volumes, kube::Error> {
        let mut volumes = Volumes { held: self.shared.volumes_held.load(Ordering::Relaxed), ..Volumes::default() };
        if self.play == Play::StatusOnly {
            return Ok(volumes);
        }
        for map in self.api::<ConfigMap>().list(&ListParams::default()).await? {
            let files = map.data.clone().unwrap_or_default().into_iter().map(|(key, text)| (key, text.into_bytes()));
            volumes.config_maps.insert(map.name_any(), files.collect());
        }
        for secret in self.api::<Secret>().list(&ListParams::default()).await? {
            let files = secret.data.clone().unwrap_or_default().into_iter().map(|(key, bytes)| (key, bytes.0));
            volumes.secrets.insert(secret.name_any(), files.collect());
        }
        Ok(volumes)
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}

impl Entry {
    fn new(pod: &Pod, play: Play) -> Self {
        let uid = pod.uid().unwrap_or_default();
        Self { uid, ip: address(play), container: None, reported: None, ending: None }
    }

    /// Starts what should run, once all of its files are there.
    fn run(&mut self, pod: &Pod, play: Play, volumes: &Volumes) {
        if play == Play::StatusOnly {
            return;
        }
        match &mut self.container {
            Some(container) => {
                if !volumes.held {
                    container.refresh(pod, volumes);
                }
                container.restart_if_dead(pod);
            }
            None => self.container = Container::start(pod, self.ip, volumes),
        }
    }

    /// Asks the edge to end; whether it has ended, or its time is over.
    fn ended(&mut self, pod: &Pod) -> bool {
        let Some(container) = &mut self.container else { return true };
        let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(GRACE);
        let since = *self.ending.get_or_insert_with(|| {
            container.terminate();
            Instant::now()
        });
        container.gone() || since.elapsed() > Duration::from_secs(grace.unsigned_abs())
    }

    async fn report(&mut self, play: Play) -> Report {
        let running = play == Play::StatusOnly || self.container.is_some();
        let ready = match &self.container {
            Some(container) => container.ready().await,
            None => play == Play::StatusOnly,
        };
        Report { ip: self.ip, running, ready, restarts: self.container.as_ref().map_or(0, |it| it.restarts) }
    }

    fn told(&self, pod: &Pod) -> PlayedPod {
        PlayedPod {
            name: pod.name_any(),
            zone: pod.labels().get("proxima.dev/zone").cloned().unwrap_or_default(),
            node: node(pod).unwrap_or_default().to_owned(),
            ip: self.ip,
            pid: self.container.as_ref().and_then(Container::pid),
            ready: self.reported.as_ref().is_some_and(|report| report.ready),
            restarts: self.container.as_ref().map_or(0, |container| container.restarts),
        }
    }
}

/// What a kubelet does last: the object goes, if it still is the same pod.
async fn remove(client: &Client, namespace: &str, pod: &Pod) -> Result<(), kube::Error> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let preconditions = kube::api::Preconditions { uid: pod.uid(), resource_version: None };
    let now =
        DeleteParams { grace_period_seconds: Some(0), preconditions: Some(preconditions), ..DeleteParams::default() };
    match pods.delete(&pod.name_any(), &now).await {
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
        other => other.map(|_| ()),
    }
}

fn node(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

/// An address that no other pod of this machine has, nor another test process with any likelihood.
fn address(play: Play) -> IpAddr {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let host = match play {
        // 127.64.0.0/10: twelve bits for the process, ten for the pod. Process ids next to each other differ.
        Play::Edges => (127 << 24) | (1 << 22) | ((std::process::id() & 0xfff) << 10) | (count & 0x3ff),
        Play::StatusOnly => (10 << 24) | (244 << 16) | (count & 0xffff),
    };
    IpAddr::V4(Ipv4Addr::from_bits(host))
}
