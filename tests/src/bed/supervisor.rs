//! One running script of `tests/kube`.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

/// How many lines of each log a failed test prints.
const TAIL: usize = 15;

/// A script that has said `ready`. Ends, and removes its folder, when dropped or when this process dies.
pub(super) struct Supervisor {
    child: Child,
    stdin: Option<ChildStdin>,
    folder: PathBuf,
}

impl Supervisor {
    /// Starts a script (`%` in its arguments is a folder of its own) and returns when it is ready, or what it said before it failed. Blocks, but
    /// not for ever: the script's own waits are bounded.
    pub(super) fn start(script: &str, arguments: &[&str]) -> Result<Self, String> {
        let folder = tempfile::Builder::new().prefix("proxima-bed-").tempdir().expect("a temporary folder can be made");
        let folder = folder.keep();
        let mut command = Command::new(scripts().join(script));
        // A group of its own: an interrupt from the keyboard is for the test, whose end is what the script waits for.
        for argument in arguments {
            command.arg(if *argument == "%" { folder.as_os_str() } else { OsStr::new(argument) });
        }
        command.process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("{script}: {error}"))?;
        let mut stderr = child.stderr.take().expect("stderr is piped");
        let errors = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut line = String::new();
        let _ = stdout.read_line(&mut line);
        if line.starts_with("ready") {
            return Ok(Self { stdin: child.stdin.take(), child, folder });
        }
        let status = child.wait();
        Err(format!("{script}: {status:?}: {}", errors.join().unwrap_or_default()))
    }

    /// Where its state is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Tells what its components said last, and keeps their logs: for a test that fails.
    pub(super) fn explain(&self) {
        let _ = std::fs::write(self.folder.join("keep"), "");
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut logs: Vec<_> = entries.map(|entry| entry.path()).collect();
        logs.retain(|path| path.extension().is_some_and(|kind| kind == "log") && !path.ends_with("audit.log"));
        logs.sort();
        for log in logs {
            let text = std::fs::read(&log).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<_> = text.lines().collect();
            let tail = &lines[lines.len().saturating_sub(TAIL)..];
            eprintln!("--- end of {} ---\n{}", log.display(), tail.join("\n"));
        }
        eprintln!("--- logs stay in {} ---", self.folder.display());
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.explain();
        }
        self.stdin = None;
        let _ = self.child.wait();
    }
}

/// The folder of a part that `tests/kube/build` makes; built now when it is not there.
pub(super) fn build(part: &str) -> PathBuf {
    let built = Command::new(scripts().join("build")).arg(part).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let built = built.expect("tests/kube/build runs");
    assert!(built.status.success(), "tests/kube/build {part} failed: {}", built.status);
    PathBuf::from(String::from_utf8_lossy(&built.stdout).trim())
}

/// `tests/kube`.
pub(super) fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("kube")
}
