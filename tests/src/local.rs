//! `proxima-operator local` as a user starts it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use tempfile::TempDir;

use crate::process::{self, Process};
use crate::viewer::Response;
use crate::wait::wait_until;

/// One edge, as `--output json` reports it.
#[derive(Clone, Debug, Deserialize)]
pub struct EdgeLine {
    /// `namespace/name`.
    pub distribution: String,
    /// Its zone.
    pub zone: String,
    /// Counts from zero or one within the zone.
    pub replica: u32,
    /// Where viewers connect.
    pub url: String,
    /// Where `/metrics` is.
    pub admin: String,
    /// Process id.
    pub pid: u32,
    /// What it serves. A number or a text.
    pub revision: serde_json::Value,
}

impl EdgeLine {
    /// Address of [`EdgeLine::url`].
    pub fn http(&self) -> SocketAddr {
        address(&self.url)
    }

    /// Address of [`EdgeLine::admin`].
    pub fn admin(&self) -> SocketAddr {
        address(&self.admin)
    }

    /// GET on a connection of its own.
    pub async fn get(&self, path: &str) -> Response {
        crate::viewer::get(self.http(), path).await
    }
}

fn address(url: &str) -> SocketAddr {
    let authority = url.trim_start_matches("http://").split('/').next().unwrap_or_default();
    authority.parse().unwrap_or_else(|_| panic!("no address in {url}"))
}

/// A running `proxima-operator local` with one manifest.
pub struct Local {
    /// The operator.
    pub process: Process,
    manifest: PathBuf,
    #[expect(dead_code, reason = "removed when dropped")]
    folder: TempDir,
}

impl Local {
    /// Starts it with ephemeral ports.
    pub fn start(manifest: &str, flags: &[&str]) -> Self {
        Self::start_with(manifest, &[&["--listen", "127.0.0.1:0"], flags].concat())
    }

    /// Starts it with these flags beside the manifest's.
    pub fn start_with(manifest: &str, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("manifest.yaml");
        std::fs::write(&path, manifest).expect("a manifest can be written");
        let mut command = Command::new(process::binary("PROXIMA_OPERATOR_BIN", "proxima-operator"));
        command.arg("local").arg("--manifest").arg(&path).args(["--output", "json"]).args(flags);
        command.arg("--edge-binary").arg(process::binary("PROXIMA_EDGE_BIN", "proxima-edge"));
        Self { process: Process::start(command), manifest: path, folder }
    }

    /// Waits until `count` edges have been reported, and returns them in order of zone.
    pub async fn edges(&mut self, count: usize) -> Vec<EdgeLine> {
        for nth in 0..count {
            self.process.line("an edge is reported", nth, |line| serde_json::from_str::<EdgeLine>(line).ok()).await;
        }
        let mut edges = self.reported();
        edges.sort_by(|left, right| (&left.distribution, &left.zone).cmp(&(&right.distribution, &right.zone)));
        edges
    }

    /// Lines about edges so far.
    pub fn reported(&self) -> Vec<EdgeLine> {
        self.process.stdout.all().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Replaces the manifest as an editor does: written beside it and renamed over it.
    pub fn edit(&self, manifest: &str) {
        let beside = self.manifest.with_extension("new");
        std::fs::write(&beside, manifest).expect("a manifest can be written");
        std::fs::rename(&beside, &self.manifest).expect("a manifest can be replaced");
    }

    /// Path of the manifest.
    pub fn manifest(&self) -> &Path {
        &self.manifest
    }

    /// Waits until standard error or standard output, past what was there at `since`, says all of `words`.
    pub async fn says(&self, since: usize, words: &[&str]) {
        wait_until(&format!("the operator says {words:?}"), async || {
            let said = self.said();
            let new = said.get(since..).unwrap_or_default();
            let missing = words.iter().find(|word| !new.contains(**word));
            missing.map_or(Ok(()), |word| Err(format!("no {word:?} in:\n{new}")))
        })
        .await;
    }

    /// Everything on standard error so far.
    pub fn said(&self) -> String {
        self.process.stderr.text()
    }
}
