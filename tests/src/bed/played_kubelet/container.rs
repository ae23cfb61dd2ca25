//! The one container of a played pod: an edge process with the arguments, environment and files of the pod.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container as Spec, EnvVar, Pod, Volume};
use kube::ResourceExt;
use tempfile::TempDir;

use crate::http1::Wire;
use crate::process::{self, Process};

/// How long a probe may take.
const PROBE: Duration = Duration::from_secs(1);

/// File names to contents.
type Files = BTreeMap<String, Vec<u8>>;

/// What can be mounted.
#[derive(Default)]
pub(super) struct Volumes {
    pub(super) config_maps: BTreeMap<String, Files>,
    pub(super) secrets: BTreeMap<String, Files>,
    pub(super) held: bool,
}

/// A container that was started at least once.
pub(super) struct Container {
    process: Process,
    ip: IpAddr,
    folder: TempDir,
    pub(super) restarts: u32,
}

impl Container {
    /// Starts it, unless something that it mounts is not there yet.
    pub(super) fn start(pod: &Pod, ip: IpAddr, volumes: &Volumes) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        write_volumes(pod, folder.path(), volumes)?;
        let process = Process::start(command(pod, ip, folder.path())?);
        Some(Self { process, ip, folder, restarts: 0 })
    }

    /// Brings changed files into the folders. What is gone stays as it was, as in a cluster.
    pub(super) fn refresh(&self, pod: &Pod, volumes: &Volumes) {
        let _ = write_volumes(pod, self.folder.path(), volumes);
    }

    pub(super) fn restart_if_dead(&mut self, pod: &Pod) {
        if self.process.exited().is_none() {
            return;
        }
        if let Some(command) = command(pod, self.ip, self.folder.path()) {
            self.process = Process::start(command);
            self.restarts += 1;
        }
    }

    /// Asks it to end.
    pub(super) fn terminate(&mut self) {
        if self.process.exited().is_none() {
            self.process.signal("TERM");
        }
    }

    /// Whether it has ended.
    pub(super) fn gone(&mut self) -> bool {
        self.process.exited().is_some()
    }

    pub(super) fn pid(&self) -> Option<u32> {
        let pid = self.process.pid();
        process::alive(pid).then_some(pid)
    }

    /// Asks the readiness probe of an edge.
    pub(super) async fn ready(&self) -> bool {
        let probe = async {
            let mut wire = Wire::connect(SocketAddr::new(self.ip, 9090)).await.ok()?;
            wire.write("GET /readyz HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n").await;
            Some(wire.head().await?.status() == 200)
        };
        tokio::time::timeout(PROBE, probe).await.ok().flatten().unwrap_or(false)
    }
}

/// The edge's command as the pod has it, with paths and addresses of this machine for those of the container.
fn command(pod: &Pod, ip: IpAddr, folder: &Path) -> Option<Command> {
    let spec = spec(pod)?;
    let mut command = Command::new(process::binary("PROXIMA_EDGE_BIN", "proxima-edge"));
    for argument in spec.args.iter().flatten() {
        command.arg(localised(argument, spec, ip, folder));
    }
    // Origins of tests are on loopback, and nothing may outlive the test.
    command.args(["--allow-loopback-origins", "--exit-with-stdin"]).env_clear();
    for variable in spec.env.iter().flatten() {
        command.env(&variable.name, value(variable, pod, ip));
    }
    Some(command)
}

fn spec(pod: &Pod) -> Option<&Spec> {
    pod.spec.as_ref()?.containers.first()
}

fn localised(argument: &str, spec: &Spec, ip: IpAddr, folder: &Path) -> String {
    for mount in spec.volume_mounts.iter().flatten() {
        if let Some(rest) = argument.strip_prefix(&mount.mount_path)
            && (rest.is_empty() || rest.starts_with('/'))
        {
            return format!("{}{rest}", folder.join(&mount.name).display());
        }
    }
    match argument.strip_prefix("0.0.0.0:").or_else(|| argument.strip_prefix("[::]:")) {
        Some(port) => format!("{ip}:{port}"),
        None => argument.to_owned(),
    }
}

fn value(variable: &EnvVar, pod: &Pod, ip: IpAddr) -> String {
    let field = variable.value_from.as_ref().and_then(|from| from.field_ref.as_ref());
    match field.map(|field| field.field_path.as_str()) {
        None => variable.value.clone().unwrap_or_default(),
        Some("metadata.name") => pod.name_any(),
        Some("metadata.namespace") => pod.namespace().unwrap_or_default(),
        Some("spec.nodeName") => pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
        Some("status.podIP") => ip.to_string(),
        Some(other) => panic!("the played kubelet does not know the field {other} of {}", variable.name),
    }
}

/// Writes every volume into a folder of its name. `None` when one is not there and the pod cannot do without.
fn write_volumes(pod: &Pod, folder: &Path, volumes: &Volumes) -> Option<()> {
    for volume in pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
        let inside = folder.join(&volume.name);
        std::fs::create_dir_all(&inside).expect("a folder can be made");
        for (name, content) in files(volume, volumes)? {
            write_if_changed(&inside.join(name), &content);
        }
    }
    Some(())
}

fn files(volume: &Volume, volumes: &Volumes) -> Option<Files> {
    let (found, items, optional) = if let Some(source) = &volume.config_map {
        (volumes.config_maps.get(&source.name), &source.items, source.optional)
    } else if let Some(source) = &volume.secret {
        (volumes.secrets.get(source.secret_name.as_ref()?), &source.items, source.optional)
    } else {
        return Some(Files::new());
    };
    let Some(found) = found else { return optional.unwrap_or(false).then(Files::new) };
    let Some(items) = items else { return Some(found.clone()) };
    items.iter().map(|item| Some((item.path.clone(), found.get(&item.key)?.clone()))).collect()
}

/// Written beside and renamed over, so that the edge sees the old file or the new one.
fn write_if_changed(path: &Path, content: &[u8]) {
    if std::fs::read(path).is_ok_and(|old| old == content) {
        return;
    }
    let beside = PathBuf::from(format!("{}.new", path.display()));
    let written = std::fs::write(&beside, content).and_then(|()| std::fs::rename(&beside, path));
    written.unwrap_or_else(|error| panic!("writing {}: {error}", path.display()));
}
