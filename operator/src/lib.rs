//! The Proxima operator: turns Distributions into configured edge caches.
//!
//! ```text
//!   manifest ─▶ gather ─▶ validate ─▶ build ─▶ apply ─▶ status
//!               files     pure        pure     │        pure
//!                                              ├─ processes: one edge per zone and replica
//!                                              └─ link: each edge kept at the wanted configuration, answers collected
//! ```
//!
//! [`local`] is the one line through these stages on one machine, [`mod@run`] in a cluster. What a Distribution means is
//! decided in [`distribution`], how edges are told in [`link`]; neither knows where edges run.

pub mod args;
pub mod backoff;
pub mod clock;
pub mod distribution;
pub mod labels;
pub mod limits;
pub mod link;
pub mod local;
pub mod names;
pub mod probe;
pub mod quantity;
pub mod run;
pub mod zones;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use args::{Cli, Command, LogFormat};

/// Something failed while running.
const FAILED: u8 = 1;
/// The command line or the first manifest is wrong; nothing was started.
const USAGE: u8 = 2;

/// Does what the command line asks for.
pub fn run(cli: Cli) -> ExitCode {
    let command = cli.resolve();
    start_log(matches!(&command, Ok(Command::Run(settings)) if settings.log_format == LogFormat::Json));
    match command {
        Ok(Command::Crds) => exit_code(print_crds().map_err(|error| (FAILED, format!("cannot write: {error}")))),
        Ok(Command::Probe(url)) => exit_code(run_probe(url)),
        Ok(Command::Local(settings)) => exit_code(run_local(*settings)),
        Ok(Command::Run(settings)) => exit_code(run_in_cluster(*settings)),
        Err(error) => exit_code(Err((USAGE, error.to_string()))),
    }
}

fn start_log(as_json: bool) {
    let filter = tracing_subscriber::EnvFilter::new(Cli::log_filter());
    // Standard output belongs to results.
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_writer(io::stderr);
    if as_json {
        log.json().flatten_event(true).init();
    } else {
        log.with_ansi(io::stderr().is_terminal()).init();
    }
}

fn print_crds() -> io::Result<()> {
    io::stdout().write_all(proxima_crds::yaml().as_bytes())
}

fn run_local(settings: args::LocalSettings) -> Result<(), (u8, String)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| (FAILED, format!("cannot start the runtime: {error}")))?;
    runtime.block_on(local::run(settings)).map_err(|error| {
        let code = if error.is_users() { USAGE } else { FAILED };
        (code, error.to_string())
    })
}

fn run_in_cluster(settings: args::RunSettings) -> Result<(), (u8, String)> {
    // Two threads: judging a large Distribution must not delay the pings of links.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| (FAILED, format!("cannot start the runtime: {error}")))?;
    let result = runtime.block_on(run::run(settings));
    // Tasks that wait for the API server are not waited for.
    runtime.shutdown_background();
    result.map_err(|error| (if error.is_users() { USAGE } else { FAILED }, error.to_string()))
}

fn run_probe(url: http::Uri) -> Result<(), (u8, String)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| (FAILED, format!("cannot start the runtime: {error}")))?;
    let status = runtime.block_on(probe::run(url)).map_err(|error| (FAILED, error.to_string()))?;
    writeln!(io::stdout(), "{status}").map_err(|error| (FAILED, format!("cannot write: {error}")))
}

fn exit_code(result: Result<(), (u8, String)>) -> ExitCode {
    let Err((code, message)) = result else { return ExitCode::SUCCESS };
    // Without standard error there is nobody to tell.
    let _ = writeln!(io::stderr(), "error: {message}");
    ExitCode::from(code)
}
