//! One edge process: binds, wires, waits for the end.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{FusedFuture, FutureExt, try_join_all};
use proxima_edge_core::limits;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::admin;
use crate::args::{Mode, Settings};
use crate::clock::Clock;
use crate::control::{self, KeysError, keys::Keys};
use crate::edge::{Edge, OriginGuard, RequestIds, identity};
use crate::fill::Fills;
use crate::held::Held;
use crate::invalidations::Invalidations;
use crate::log::AccessLog;
use crate::metrics::Metrics;
use crate::plan_source::{OpenError, PlanSource, state_file};
use crate::server::{self, listener};
use crate::store::Store;

/// When the parent is gone nobody waits for the requests in progress either.
const ORPHAN_GRACE: Duration = Duration::from_secs(2);
/// Workers that are cut off get this long to note what they had in progress.
const CUT_OFF: Duration = Duration::from_secs(1);
/// The last lines of the access log get this long.
const LOG_FLUSH: Duration = Duration::from_secs(1);
/// Store size before the first configuration says one.
const UNCONFIGURED_STORE_BYTES: u64 = limits::CACHE_MEMORY_MIN;

/// Why the process cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration file is of no use.
    #[error(transparent)]
    Config(#[from] OpenError),
    /// The folder of the control port is of no use.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// Configurations cannot be kept.
    #[error("could not write to --state {}: {error}", folder.display())]
    State {
        /// The folder.
        folder: std::path::PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// An address cannot be listened on.
    #[error("could not listen on {flag} {address}: {error}")]
    Bind {
        /// The flag with the address.
        flag: &'static str,
        /// The address.
        address: SocketAddr,
        /// The cause.
        error: io::Error,
    },
    /// The system refused something else.
    #[error("could not {what}: {error}")]
    System {
        /// What was attempted.
        what: &'static str,
        /// The cause.
        error: io::Error,
    },
    /// A worker thread ended.
    #[error("a worker thread died")]
    WorkerDied,
    /// A second signal came while requests were being finished.
    #[error("a second signal came; requests in progress were cut off")]
    Interrupted,
}

/// Runs an edge until it is told to end. Returns when all is finished, or cannot be.
pub fn run(settings: Settings) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::System { what: "start the main runtime", error })?;
    let result = runtime.block_on(run_until_end(settings));
    // Work on other threads of this runtime, such as a write to the state file, must not hold up the end.
    runtime.shutdown_background();
    result
}

/// The sockets of the process, bound before anything is promised.
struct Sockets {
    viewers: Vec<std::net::TcpListener>,
    http: SocketAddr,
    admin: TcpListener,
    control: Option<TcpListener>,
}

async fn run_until_end(settings: Settings) -> Result<(), Error> {
    let mut signals = Signals::new()?;
    let metrics = Arc::new(Metrics::new());
    let clock = Clock::system();
    let plans = match &settings.mode {
        Mode::Serve { config } => PlanSource::from_file(config, clock.clone(), Arc::clone(&metrics))?,
        Mode::Run { boot, state, .. } => {
            state_file::prepare(state).map_err(|error| Error::State { folder: state.clone(), error })?;
            PlanSource::open(boot, state, clock.clone(), Arc::clone(&metrics))
        }
    };
    let keys = match &settings.mode {
        Mode::Serve { .. } => None,
        Mode::Run { link, .. } => Some(Keys::open(link)?),
    };
    let sockets = Sockets::bind(&settings).await?;
    let addresses = sockets.addresses()?;
    // The first line on standard output; only then may the access log write there.
    announce(&addresses).map_err(|error| Error::System { what: "write to standard output", error })?;
    let edge = Arc::new(make_edge(&settings, plans, (clock, metrics), &addresses)?);
    let Sockets { viewers, admin, control, .. } = sockets;
    let workers =
        server::start(&edge, viewers).map_err(|error| Error::System { what: "start a worker thread", error })?;
    tokio::spawn(admin::serve(Arc::clone(&edge), admin));
    if let Some((listener, keys)) = control.zip(keys) {
        tokio::spawn(control::serve(Arc::clone(&edge), listener, Arc::new(keys)));
    }

    let mut workers = try_join_all(workers).fuse();
    let stdin = if settings.exit_with_stdin { Some(end_of_stdin()?) } else { None };
    let grace = tokio::select! {
        _ = &mut workers => return Err(Error::WorkerDied),
        () = signals.next() => limits::SHUTDOWN_GRACE,
        () = ended(stdin) => ORPHAN_GRACE,
    };
    tracing::info!(?grace, "shutting down: no new connections, requests in progress are finished");
    edge.shutdown.cancel();
    let finished = tokio::select! {
        _ = &mut workers => Ok(()),
        () = tokio::time::sleep(grace) => {
            tracing::warn!("requests are still in progress; they are cut off");
            Ok(())
        }
        () = signals.next() => Err(Error::Interrupted),
    };
    // Requests that are cut off have an outcome too. Workers that finished are awaited no more.
    edge.cut_off.cancel();
    if !workers.is_terminated() && tokio::time::timeout(CUT_OFF, workers).await.is_err() {
        tracing::warn!("a worker did not end in time; its requests are not logged");
    }
    edge.log.flush(LOG_FLUSH);
    finished
}

fn make_edge(
    settings: &Settings,
    plans: PlanSource,
    (clock, metrics): (Clock, Arc<Metrics>),
    addresses: &Addresses,
) -> Result<Edge, Error> {
    let Settings { zone, name, .. } = settings;
    let log = if settings.access_log {
        AccessLog::to(Box::new(io::stdout()), zone, name, Arc::clone(&metrics))
            .map_err(|error| Error::System { what: "start the access log's thread", error })?
    } else {
        AccessLog::off(Arc::clone(&metrics))
    };
    let cache_memory = plans.current().map_or(UNCONFIGURED_STORE_BYTES, |plan| plan.cache_memory);
    let own = [Some(addresses.http), Some(addresses.admin), addresses.control].into_iter().flatten().collect();
    Ok(Edge {
        identity: identity(zone, name),
        zone: zone.clone(),
        name: name.clone(),
        clock,
        plans,
        store: Store::new(cache_memory, Arc::clone(&metrics)),
        fills: Fills::new(),
        held: Held::new(Arc::clone(&metrics)),
        invalidations: Invalidations::default(),
        metrics,
        log,
        request_ids: RequestIds::new(),
        origin_guard: OriginGuard { allow_loopback: settings.allow_loopback_origins, own },
        shutdown: CancellationToken::new(),
        cut_off: CancellationToken::new(),
    })
}

/// Where the process can be reached.
struct Addresses {
    http: SocketAddr,
    admin: SocketAddr,
    control: Option<SocketAddr>,
}

impl Sockets {
    async fn bind(settings: &Settings) -> Result<Self, Error> {
        let viewers = listener::bind_all(settings.http, settings.threads).map_err(|error| Error::Bind {
            flag: "--http",
            address: settings.http,
            error,
        })?;
        let http = viewers
            .first()
            .expect("there is at least one worker")
            .local_addr()
            .map_err(|error| Error::System { what: "ask for the bound address", error })?;
        let admin = bind("--admin", settings.admin).await?;
        let control = match &settings.mode {
            Mode::Run { control, .. } => Some(bind("--control", *control).await?),
            Mode::Serve { .. } => None,
        };
        Ok(Self { viewers, http, admin, control })
    }

    fn addresses(&self) -> Result<Addresses, Error> {
        let address = |listener: &TcpListener| {
            listener.local_addr().map_err(|error| Error::System { what: "ask for the bound address", error })
        };
        let control = self.control.as_ref().map(address).transpose()?;
        Ok(Addresses { http: self.http, admin: address(&self.admin)?, control })
    }
}

async fn bind(flag: &'static str, address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|error| Error::Bind { flag, address, error })
}

/// One line of JSON: who started this process learns the ports that the system chose.
fn announce(addresses: &Addresses) -> io::Result<()> {
    let line = serde_json::json!({
        "http": addresses.http,
        "admin": addresses.admin,
        "control": addresses.control,
        "pid": std::process::id(),
    });
    let mut output = io::stdout().lock();
    writeln!(output, "{line}")?;
    output.flush()
}

/// Requests to end from the system or a terminal.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, Error> {
        let listen = |kind| signal(kind).map_err(|error| Error::System { what: "listen for signals", error });
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Hears when standard input ends. A thread reads it, since a terminal or pipe can only be waited for by blocking.
fn end_of_stdin() -> Result<oneshot::Receiver<()>, Error> {
    let (done, ended) = oneshot::channel();
    std::thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(move || {
            // An unreadable input is as good as an ended one.
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            let _ = done.send(());
        })
        .map_err(|error| Error::System { what: "start the thread that reads standard input", error })?;
    Ok(ended)
}

async fn ended(stdin: Option<oneshot::Receiver<()>>) {
    match stdin {
        Some(stdin) => {
            // The thread sends before it ends, and its own end means the same.
            let _ = stdin.await;
        }
        None => std::future::pending().await,
    }
}

/// An edge in the caller's process that takes the time from the caller, for suites that must not wait for hours to pass.
/// It serves what the file `config` says to viewers on loopback only, until [`Edge::shutdown`] is cancelled.
pub fn start_with_clock(config: &Path, clock: Clock) -> Result<(Arc<Edge>, SocketAddr), Error> {
    let metrics = Arc::new(Metrics::new());
    let plans = PlanSource::from_file(config, clock.clone(), Arc::clone(&metrics))?;
    let settings = &loopback_settings(config);
    let failed = |error| Error::Bind { flag: "--http", address: settings.http, error };
    let viewers = listener::bind_all(settings.http, settings.threads).map_err(failed)?;
    let http = viewers.first().expect("there is at least one worker").local_addr().map_err(failed)?;
    let addresses = Addresses { http, admin: settings.admin, control: None };
    let edge = Arc::new(make_edge(settings, plans, (clock, metrics), &addresses)?);
    server::start(&edge, viewers).map_err(|error| Error::System { what: "start a worker thread", error })?;
    Ok((edge, http))
}

/// An edge without sockets, for tests of single parts.
#[cfg(test)]
pub(crate) fn edge_for_tests(plans: PlanSource, clock: Clock, metrics: Arc<Metrics>) -> Edge {
    let settings = loopback_settings(Path::new(""));
    let addresses = Addresses { http: settings.http, admin: settings.admin, control: None };
    make_edge(&settings, plans, (clock, metrics), &addresses).expect("without a log nothing can fail")
}

/// Of an edge that nobody but its own process knows.
fn loopback_settings(config: &Path) -> Settings {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    Settings {
        mode: Mode::Serve { config: config.to_owned() },
        http: loopback,
        admin: loopback,
        threads: NonZeroUsize::MIN,
        zone: "zone-a".to_owned(),
        name: "edge-1".to_owned(),
        allow_loopback_origins: true,
        exit_with_stdin: false,
        access_log: false,
        log_filter: String::new(),
    }
}
