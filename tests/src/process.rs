//! Processes under test.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::wait::wait_until;

/// A process with its output. Killed and reaped when dropped; its standard input ends with the test process, so that one
/// started with `--exit-with-stdin` also dies when the test is killed.
pub struct Process {
    child: Child,
    name: String,
    stdin: Option<ChildStdin>,
    /// Lines on standard output so far.
    pub stdout: Lines,
    /// Lines on standard error so far.
    pub stderr: Lines,
}

/// Lines that a process has written.
#[derive(Clone, Default)]
pub struct Lines {
    lines: Arc<Mutex<Vec<String>>>,
    ended: Arc<AtomicBool>,
}

impl Lines {
    fn follow(stream: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let sink = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                sink.lines.lock().unwrap().push(line);
            }
            sink.ended.store(true, Ordering::SeqCst);
        });
        lines
    }

    /// All of them.
    pub fn all(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// All of them, once nobody can write any more: an ended process may have more in the pipe than was read so far.
    pub async fn complete(&self) -> Vec<String> {
        wait_until(
            "the output ends",
            async || {
                if self.ended.load(Ordering::SeqCst) { Ok(self.all()) } else { Err(self.text()) }
            },
        )
        .await
    }

    /// All of them as one text.
    pub fn text(&self) -> String {
        self.all().join("\n")
    }
}

impl Process {
    /// Starts a command.
    pub fn start(mut command: Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let stdin = child.stdin.take();
        let stdout = Lines::follow(child.stdout.take().expect("stdout is piped"));
        let stderr = Lines::follow(child.stderr.take().expect("stderr is piped"));
        Self { child, name, stdin, stdout, stderr }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name, such as `TERM`.
    pub fn signal(&self, signal: &str) {
        send_signal(self.pid(), signal);
    }

    /// Ends its standard input.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// How it has ended, if it has.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap_or_default()
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self) -> ExitStatus {
        let (child, stderr) = (&mut self.child, &self.stderr);
        wait_until("the process ends", async || match child.try_wait() {
            Ok(Some(status)) => Ok(status),
            other => Err(format!("{other:?}; stderr: {}", stderr.text())),
        })
        .await
    }

    /// Waits until standard output has a line for which `pick` answers, past the first `skip` lines.
    pub async fn line<T>(&mut self, what: &str, skip: usize, pick: impl Fn(&str) -> Option<T>) -> T {
        wait_until(what, async || {
            if let Some(found) = self.stdout.all().iter().skip(skip).find_map(|line| pick(line)) {
                return Ok(found);
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("{} ended ({status}) before {what}; stderr:\n{}", self.name, self.stderr.text());
            }
            Err(format!("stdout:\n{}\nstderr:\n{}", self.stdout.text(), self.stderr.text()))
        })
        .await
    }

    /// Resident memory, bytes.
    pub fn resident(&self) -> u64 {
        resident(self.pid())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let errors = self.stderr.all();
            let tail = errors.len().saturating_sub(40);
            eprintln!("--- end of standard error of {} ---\n{}", self.name, errors[tail..].join("\n"));
        }
    }
}

/// Sends a signal by name.
pub fn send_signal(pid: u32, signal: &str) {
    let sent = Command::new("sh").args(["-c", "kill -\"$1\" \"$2\"", "sh", signal, &pid.to_string()]).status();
    assert!(sent.expect("sh runs").success(), "signal {signal} to {pid}");
}

/// Whether a process exists and is not merely waiting to be reaped.
pub fn alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

/// Resident memory of a process, bytes; zero when it is gone.
pub fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap_or(0) * 1024
}

/// A binary of this workspace: named by an environment variable, else beside the running test.
pub fn binary(variable: &str, name: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(variable) {
        return path.into();
    }
    let test = std::env::current_exe().expect("a running program has a path");
    // target/debug/deps/SUITE-HASH
    let path = test.ancestors().nth(2).expect("tests run from target/PROFILE/deps").join(name);
    assert!(path.exists(), "{} is missing: run `cargo build --workspace --bins` first", path.display());
    path
}
