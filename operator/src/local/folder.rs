//! The private folder of a run: keys, boot copies, state. Removed at the end; what a killed run left is swept by the
//! next one.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use proxima_edge_core::link::Envelope;
use tempfile::TempDir;

use crate::link::Keys;

/// How folders of runs begin.
const PREFIX: &str = "proxima-local-";
/// Locked as long as the run lives; the kernel unlocks it when the run is killed.
const LOCK: &str = "lock";

/// The folder of a run. Dropping it removes it.
pub struct RunFolder {
    root: TempDir,
    _lock: File,
    edges: u64,
}

/// The folder of one edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeFolder {
    root: PathBuf,
}

impl RunFolder {
    /// Makes a folder that only this user can enter, in `parent`.
    pub fn create(parent: &Path) -> io::Result<Self> {
        sweep(parent);
        let root =
            tempfile::Builder::new().prefix(PREFIX).permissions(Permissions::from_mode(0o700)).tempdir_in(parent)?;
        // Locked before it has the name that a sweeping run looks for.
        let (young, lock) = (root.path().join("young-lock"), root.path().join(LOCK));
        let file = File::create(&young)?;
        file.lock()?;
        fs::rename(young, lock)?;
        Ok(Self { root, _lock: file, edges: 0 })
    }

    /// Makes the folder of one more edge, with its keys and the pin of the operator.
    pub fn add_edge(&mut self, keys: &Keys, operator_pin: &str) -> io::Result<EdgeFolder> {
        self.edges += 1;
        let edge = EdgeFolder { root: self.root.path().join(format!("edge-{}", self.edges)) };
        for folder in [edge.boot(), edge.link(), edge.state()] {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        write(&edge.link().join("tls.crt"), keys.certificate_pem().as_bytes())?;
        write(&edge.link().join("tls.key"), keys.key_pem().as_bytes())?;
        write(&edge.link().join("operator.pin"), format!("{operator_pin}\n").as_bytes())?;
        Ok(edge)
    }
}

impl EdgeFolder {
    /// Where the edge finds its configuration at start.
    pub fn boot(&self) -> PathBuf {
        self.root.join("boot")
    }

    /// Where it finds its keys.
    pub fn link(&self) -> PathBuf {
        self.root.join("link")
    }

    /// Where it keeps what it was told.
    pub fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    /// Replaces the boot copy in one step.
    pub fn write_boot_copy(&self, envelope: &Envelope) -> io::Result<()> {
        let json = serde_json::to_vec(envelope)?;
        let (new, name) = (self.boot().join("config.json.new"), self.boot().join("config.json"));
        write(&new, &json)?;
        fs::rename(new, name)
    }

    /// Removes everything.
    pub fn remove(&self) -> io::Result<()> {
        fs::remove_dir_all(&self.root)
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).open(path)?.write_all(bytes)
}

/// Removes folders of runs that are no more. What cannot be looked at belongs to somebody else.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            continue;
        }
        let abandoned = OpenOptions::new().write(true).open(entry.path().join(LOCK)).and_then(|lock| {
            lock.try_lock()?;
            Ok(lock)
        });
        if let Ok(_lock) = abandoned
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            tracing::debug!(%error, folder = %entry.path().display(), "cannot remove what a killed run left");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn only_the_user_can_read_keys_and_everything_is_removed() {
        let parent = tempfile::tempdir().unwrap();
        let mut run = RunFolder::create(parent.path()).unwrap();
        let keys = Keys::generate("edge").unwrap();
        let edge = run.add_edge(&keys, "pin").unwrap();
        assert_eq!(mode(run.root.path()), 0o700);
        assert_eq!(mode(&edge.link().join("tls.key")), 0o600);
        assert_eq!(fs::read_to_string(edge.link().join("operator.pin")).unwrap(), "pin\n");
        drop(run);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_run_left_is_swept_and_a_living_run_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let dead = parent.path().join(format!("{PREFIX}dead"));
        let fresh = parent.path().join(format!("{PREFIX}fresh"));
        let foreign = parent.path().join("foreign");
        for folder in [&dead, &fresh, &foreign] {
            fs::create_dir(folder).unwrap();
        }
        fs::write(dead.join(LOCK), "").unwrap();
        let first = RunFolder::create(parent.path()).unwrap();
        let _second = RunFolder::create(parent.path()).unwrap();
        assert!(!dead.exists());
        assert!(fresh.exists() && foreign.exists() && first.root.path().exists());
    }
}
