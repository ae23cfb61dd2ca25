//! Edge processes.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use proxima_edge_core::edge_config::EdgeConfig;
use proxima_edge_core::link::Envelope;
use serde_json::Value;
use tempfile::TempDir;

use crate::link::Keys;
use crate::metrics::Metrics;
use crate::process::{self, Process};
use crate::viewer::{Response, Viewer};
use crate::wait::wait_until;

/// A running `proxima-edge`.
pub struct Edge {
    /// The process.
    pub process: Process,
    /// Where viewers connect.
    pub http: SocketAddr,
    /// Where `/metrics` and the probes are.
    pub admin: SocketAddr,
    /// Where the operator connects; only with [`Edge::run`].
    pub control: Option<SocketAddr>,
    folder: Option<TempDir>,
}

impl Edge {
    /// `proxima-edge serve` with a configuration, allowed to reach loopback.
    pub async fn serve(config: &EdgeConfig) -> Self {
        Self::serve_with(config, &["--allow-loopback-origins"]).await
    }

    /// `proxima-edge serve` with these flags beside those that every test needs.
    pub async fn serve_with(config: &EdgeConfig, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let file = folder.path().join("config.json");
        write(&file, serde_json::to_vec(config).expect("a configuration is JSON"));
        let mut command = command("serve");
        command.arg("--config").arg(&file).args(flags);
        Self { folder: Some(folder), ..Self::start(command).await }
    }

    /// `proxima-edge run` with a boot copy or none, its state in `home`, so that a second start finds what the first one
    /// left there.
    pub async fn run(home: &Path, keys: &Keys, boot: Option<&Envelope>) -> Self {
        let [boot_folder, link, state] = ["boot", "link", "state"].map(|name| home.join(name));
        for folder in [&boot_folder, &link, &state] {
            std::fs::create_dir_all(folder).expect("a folder can be made");
        }
        if let Some(envelope) = boot {
            write(&boot_folder.join("config.json"), serde_json::to_vec(envelope).expect("an envelope is JSON"));
        }
        write(&link.join("tls.crt"), keys.edge.certificate_pem.clone());
        write(&link.join("tls.key"), keys.edge.key_pem.clone());
        write(&link.join("operator.pin"), format!("{}\n", keys.operator.pin));
        let mut command = command("run");
        command.arg("--boot").arg(boot_folder).arg("--link").arg(link).arg("--state").arg(state);
        command.args(["--control", "127.0.0.1:0", "--allow-loopback-origins"]);
        Self::start(command).await
    }

    async fn start(command: Command) -> Self {
        let mut process = Process::start(command);
        let line =
            process.line("the edge prints its addresses", 0, |line| serde_json::from_str::<Value>(line).ok()).await;
        let address = |name: &str| line[name].as_str().and_then(|text| text.parse().ok());
        let (http, admin) = (address("http"), address("admin"));
        Self {
            http: http.unwrap_or_else(|| panic!("no http address in {line}")),
            admin: admin.unwrap_or_else(|| panic!("no admin address in {line}")),
            control: address("control"),
            process,
            folder: None,
        }
    }

    /// GET on a connection of its own.
    pub async fn get(&self, path: &str) -> Response {
        crate::viewer::get(self.http, path).await
    }

    /// A viewer's connection.
    pub async fn viewer(&self) -> Viewer {
        Viewer::connect(self.http).await
    }

    /// GET on the admin port.
    pub async fn admin(&self, path: &str) -> Response {
        crate::viewer::get_with(self.admin, path, "Connection: close\r\n").await
    }

    /// Scrapes the metrics.
    pub async fn metrics(&self) -> Metrics {
        Metrics::parse(&self.admin("/metrics").await.text())
    }

    /// Waits until the sum of a metric is as wanted.
    pub async fn metric_reaches(&self, name: &str, wanted: impl Fn(f64) -> bool) -> f64 {
        wait_until(name, async || {
            let metrics = self.metrics().await;
            let value = metrics.sum(name);
            if metrics.has(name) && wanted(value) { Ok(value) } else { Err(format!("{name} = {value}")) }
        })
        .await
    }

    /// Access-log lines so far.
    pub fn log(&self) -> Vec<Value> {
        self.process.stdout.all().iter().skip(1).filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits for an access-log line that fits.
    pub async fn log_line(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        wait_until(what, async || {
            let log = self.log();
            log.iter().find(|line| fits(line)).cloned().ok_or_else(|| format!("{log:#?}"))
        })
        .await
    }

    /// Kills it as `kill -9` does, and waits for its end. What it has on disk stays.
    pub async fn kill(mut self) {
        self.process.signal("KILL");
        self.process.ended().await;
        drop(self.folder);
    }
}

fn command(verb: &str) -> Command {
    let mut command = Command::new(process::binary("PROXIMA_EDGE_BIN", "proxima-edge"));
    command.arg(verb).args(["--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--threads", "2"]);
    command.args(["--zone", "zone-a", "--name", "edge-1", "--access-log", "stdout", "--exit-with-stdin"]);
    command
}

fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    std::fs::write(path, bytes).unwrap_or_else(|error| panic!("writing {}: {error}", path.display()));
}
