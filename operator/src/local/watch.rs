//! Tells when the manifest may have changed.
//!
//! The folder of each file is watched, not the file: editors write a new file and rename it over the old one, and a
//! mounted ConfigMap is a chain of symbolic links whose middle one is exchanged. Where nobody notifies (network file
//! systems), a look every few seconds does. Says only "look again"; what changed is found by reading.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::limits;

/// A watch on some files.
pub struct Watch {
    looks: mpsc::Receiver<()>,
    _task: AbortOnDropHandle<()>,
}

impl Watch {
    /// Watches the folders of `files`, and those that their symbolic links lead to.
    pub fn new(files: &[PathBuf]) -> Self {
        // One hint is enough: it says that something happened since the last look.
        let (sender, hints) = mpsc::channel(1);
        let watcher = start(files, sender);
        if let Err(error) = &watcher {
            tracing::warn!(%error, "cannot watch the manifest; it is read every {:?} instead", limits::WATCH_POLL);
        }
        let (sender, looks) = mpsc::channel(1);
        Self { looks, _task: AbortOnDropHandle::new(tokio::spawn(settle(watcher.ok(), hints, sender))) }
    }

    /// Waits until it is worth reading the files again. Nothing is lost when it is cancelled.
    pub async fn changed(&mut self) {
        if self.looks.recv().await.is_none() {
            // The task ends only with this value; were it to panic, the manifest would not be read again.
            std::future::pending::<()>().await;
        }
    }
}

/// Turns bursts of hints, and their long absence, into single looks.
async fn settle(watcher: Option<RecommendedWatcher>, mut hints: mpsc::Receiver<()>, looks: mpsc::Sender<()>) {
    // Owned here: dropping it ends the notifications.
    let _watcher = watcher;
    loop {
        match timeout(limits::WATCH_POLL, hints.recv()).await {
            Ok(Some(())) => sleep(limits::WATCH_SETTLE).await,
            // Without a watcher the channel is closed and says so at once.
            Ok(None) => sleep(limits::WATCH_POLL).await,
            Err(_) => {}
        }
        // Emptied before the look, so that what changes during it is another hint.
        while hints.try_recv().is_ok() {}
        if looks.send(()).await.is_err() {
            return;
        }
    }
}

fn start(files: &[PathBuf], sender: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading the manifest is itself an access; only what may have changed it counts. A full channel already says it.
        if event.is_ok_and(|event| !event.kind.is_access()) {
            let _ = sender.try_send(());
        }
    })?;
    for folder in folders(files) {
        watcher.watch(&folder, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

/// Every folder whose entries decide what one of `files` is.
fn folders(files: &[PathBuf]) -> BTreeSet<PathBuf> {
    let parent = |path: &Path| match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let mut folders = BTreeSet::new();
    for file in files {
        folders.insert(parent(file));
        if let Ok(real) = file.canonicalize() {
            folders.insert(parent(&real));
        }
    }
    folders
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The watcher alone: a look would also come without any hint.
    fn watched(files: &[PathBuf]) -> (RecommendedWatcher, mpsc::Receiver<()>) {
        let (sender, hints) = mpsc::channel(1);
        (start(files, sender).unwrap(), hints)
    }

    async fn hint_comes(hints: &mut mpsc::Receiver<()>) {
        timeout(std::time::Duration::from_secs(60), hints.recv()).await.expect("a hint").expect("a live watcher");
    }

    #[tokio::test]
    async fn a_file_renamed_over_the_manifest_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = folder.path().join("shop.yaml");
        fs::write(&manifest, "old").unwrap();
        let (_watcher, mut hints) = watched(std::slice::from_ref(&manifest));
        fs::write(folder.path().join("new"), "new").unwrap();
        fs::rename(folder.path().join("new"), &manifest).unwrap();
        hint_comes(&mut hints).await;
    }

    #[tokio::test]
    async fn an_exchanged_link_on_the_way_to_the_manifest_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for version in ["v1", "v2"] {
            fs::create_dir(path(version)).unwrap();
            fs::write(path(version).join("shop.yaml"), version).unwrap();
        }
        std::os::unix::fs::symlink("v1", path("data")).unwrap();
        std::os::unix::fs::symlink("data/shop.yaml", path("shop.yaml")).unwrap();
        let (_watcher, mut hints) = watched(&[path("shop.yaml")]);
        std::os::unix::fs::symlink("v2", path("new")).unwrap();
        fs::rename(path("new"), path("data")).unwrap();
        hint_comes(&mut hints).await;
    }

    #[test]
    fn a_bare_file_name_lives_in_the_current_folder() {
        assert!(folders(&[PathBuf::from("no-such-file.yaml")]).contains(Path::new(".")));
    }
}
