//! Edge processes: started, told apart by incarnation, started again when they die, stopped in order.
//!
//! One task per edge owns its process and its standard input: an edge ends when that pipe closes, so none outlives an
//! operator that was killed. Must not know what a configuration says.

use std::ffi::OsString;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::{clock, limits};

/// How an edge process is started.
#[derive(Clone, Debug)]
pub struct ProcessSpec {
    /// Unique name of the edge, for events and logs.
    pub name: String,
    /// The edge binary.
    pub binary: PathBuf,
    /// All arguments but `--http`.
    pub args: Vec<OsString>,
    /// Where viewers come in; with port 0 the first process chooses, and its successors keep the port.
    pub http: SocketAddr,
    /// Filter for the edge's own log.
    pub log: String,
    /// Numbers every process of the run, so that no two are ever mistaken for one another.
    pub incarnations: Arc<AtomicU64>,
}

/// What an edge prints first.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Hello {
    /// Where viewers come in.
    pub http: SocketAddr,
    /// Probes and metrics.
    pub admin: SocketAddr,
    /// The link.
    pub control: Option<SocketAddr>,
    /// Process id.
    pub pid: u32,
}

/// News of a process.
#[derive(Debug)]
pub struct ProcessEvent {
    /// Name of the edge.
    pub edge: String,
    /// Number of the process.
    pub incarnation: u64,
    /// The news.
    pub news: ProcessNews,
}

/// What happened to a process.
#[derive(Debug)]
pub enum ProcessNews {
    /// It listens.
    Listening(Hello),
    /// It could not be started, or it ended; another attempt follows.
    Ended(ProcessError),
}

/// Why there is no process.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// Somebody else listens there.
    #[error(
        "{address} is in use by another process; stop that process or choose other ports with --listen ADDRESS:PORT (port 0: any free ones)"
    )]
    PortInUse {
        /// The address.
        address: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// No such binary, and the like.
    #[error("cannot start {binary}: {error}")]
    Spawn {
        /// The edge binary.
        binary: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The first line did not come or was something else.
    #[error("the edge did not say where it listens: {0}")]
    NoHello(String),
    /// It ended before it listened.
    #[error("the edge ended with {0} before it listened; the lines above, marked with its name, say why")]
    DiedEarly(ExitStatus),
    /// It ended.
    #[error("the edge ended with {0}")]
    Exited(ExitStatus),
    /// It could not be waited for.
    #[error("lost sight of the edge process: {0}")]
    Wait(io::Error),
}

impl ProcessError {
    /// Whether another attempt would most likely end the same way.
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Spawn { .. } | Self::DiedEarly(_) | Self::PortInUse { .. } | Self::Listen { .. } => true,
            Self::NoHello(_) | Self::Exited(_) | Self::Wait(_) => false,
        }
    }
}

/// A supervised edge. Dropping it kills the process; [`Process::stop`] lets it finish its requests first.
pub struct Process {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Process {
    /// Starts an edge and keeps it running.
    pub fn start(spec: ProcessSpec, events: mpsc::Sender<ProcessEvent>) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(Supervisor { spec, events, stop: stop.clone(), incarnation: 0 }.run());
        Self { stop, task }
    }

    /// Lets the edge finish its requests, at most [`limits::EDGE_STOP`] long, and ends it.
    pub async fn stop(mut self) {
        self.stop.cancel();
        // The only error is that the task panicked; its process was killed by the unwinding.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Fails when somebody listens on `address`. An edge shares its port among its own threads, and would share it with a
/// stranger of the same user without a word; this socket shares nothing, so it finds the stranger.
pub fn check_port_is_free(address: SocketAddr) -> Result<(), ProcessError> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(ProcessError::PortInUse { address }),
        Err(error) => Err(ProcessError::Listen { address, error }),
    }
}

struct Supervisor {
    spec: ProcessSpec,
    events: mpsc::Sender<ProcessEvent>,
    stop: CancellationToken,
    incarnation: u64,
}

impl Supervisor {
    async fn run(mut self) {
        let mut backoff = Backoff::new(limits::EDGE_RESTART_MIN, limits::EDGE_RESTART_MAX);
        while !self.stop.is_cancelled() {
            self.incarnation = self.spec.incarnations.fetch_add(1, Ordering::Relaxed);
            let started = Instant::now();
            let Err(error) = self.run_once().await else { return };
            if started.elapsed() >= limits::EDGE_PROVEN {
                backoff.reset();
            }
            self.tell(ProcessNews::Ended(error)).await;
            tokio::select! {
                () = sleep(backoff.pause(clock::fraction())) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    /// One process from start to end. `Ok` when it was stopped on purpose.
    async fn run_once(&mut self) -> Result<(), ProcessError> {
        check_port_is_free(self.spec.http)?;
        let mut child = self.spawn()?;
        // Held open as long as this function runs; closed by the kernel when the operator is killed.
        let _lifeline = child.stdin.take();
        let stdout = child.stdout.take().expect("standard output was asked for");
        let stderr = child.stderr.take().expect("standard error was asked for");
        tokio::spawn(forward(self.spec.name.clone(), stderr));
        let hello = tokio::select! {
            hello = timeout(limits::EDGE_START, read_hello(stdout)) => hello,
            () = self.stop.cancelled() => return end(child).await,
        };
        let (hello, rest) = match hello {
            Ok(Ok(said)) => said,
            Ok(Err(problem)) => return Err(self.died_silent(child, problem).await),
            Err(_) => return Err(self.died_silent(child, format!("nothing within {:?}", limits::EDGE_START)).await),
        };
        tokio::spawn(forward(self.spec.name.clone(), rest));
        self.spec.http = hello.http;
        self.tell(ProcessNews::Listening(hello)).await;
        tokio::select! {
            ended = child.wait() => Err(ended.map_or_else(ProcessError::Wait, ProcessError::Exited)),
            () = self.stop.cancelled() => end(child).await,
        }
    }

    fn spawn(&self) -> Result<Child, ProcessError> {
        Command::new(&self.spec.binary)
            .args(&self.spec.args)
            .arg("--http")
            .arg(self.spec.http.to_string())
            .env("PROXIMA_LOG", &self.spec.log)
            // Its standard error is a pipe, whatever ours is.
            .env("NO_COLOR", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own: Ctrl-C in a terminal reaches the operator only, who then stops the edges in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| ProcessError::Spawn { binary: self.spec.binary.clone(), error })
    }

    /// The process said nothing useful: end it. How it ended tells more than its silence when it ended by itself.
    async fn died_silent(&self, mut child: Child, problem: String) -> ProcessError {
        match timeout(limits::EDGE_RESTART_MIN, child.wait()).await {
            Ok(Ok(status)) => ProcessError::DiedEarly(status),
            Ok(Err(_)) | Err(_) => {
                let _ = child.kill().await;
                ProcessError::NoHello(problem)
            }
        }
    }

    async fn tell(&self, news: ProcessNews) {
        let event = ProcessEvent { edge: self.spec.name.clone(), incarnation: self.incarnation, news };
        // Nobody listens any more only when the whole operator is about to end.
        let _ = self.events.send(event).await;
    }
}

/// Asks the process to finish its requests and end, and kills it when it does not.
async fn end(mut child: Child) -> Result<(), ProcessError> {
    // No process id: it ended by itself and was waited for.
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw) {
        for signal in [Signal::TERM, Signal::CONT] {
            // A process that is already gone is what is wanted.
            let _ = kill_process(pid, signal);
        }
        if timeout(limits::EDGE_STOP, child.wait()).await.is_ok() {
            return Ok(());
        }
    }
    child.kill().await.map_err(ProcessError::Wait)
}

async fn read_hello(stdout: ChildStdout) -> Result<(Hello, BufReader<ChildStdout>), String> {
    let mut reader = BufReader::new(stdout);
    let mut line = String::new();
    (&mut reader).take(limits::EDGE_HELLO_BYTES).read_line(&mut line).await.map_err(|error| error.to_string())?;
    let hello = serde_json::from_str(&line).map_err(|error| format!("{error} in its first line {:?}", line.trim()))?;
    Ok((hello, reader))
}

/// Hands the lines of an edge on to standard error, each with the name of the edge.
async fn forward(edge: String, source: impl AsyncRead + Unpin) {
    let mut lines = BufReader::new(source).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        super::output::edge_line(&edge, &line);
    }
}

#[cfg(test)]
mod tests;
