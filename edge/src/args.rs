//! The command line, resolved once into [`Settings`]. Nothing else reads arguments or environment.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// What the process was asked to do, with every default filled in.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the configuration comes from.
    pub mode: Mode,
    /// Address for viewers.
    pub http: SocketAddr,
    /// Address for probes and metrics.
    pub admin: SocketAddr,
    /// Worker threads, each with a listener of its own.
    pub threads: NonZeroUsize,
    /// Zone in which this edge runs.
    pub zone: String,
    /// Name of this edge; the pod's name in a cluster.
    pub name: String,
    /// Origins may have loopback addresses.
    pub allow_loopback_origins: bool,
    /// The end of standard input ends the process: its parent is gone.
    pub exit_with_stdin: bool,
    /// A line on standard output for each request.
    pub access_log: bool,
    /// Filter for messages on standard error.
    pub log_filter: String,
}

/// Where the configuration comes from.
#[derive(Clone, Debug)]
pub enum Mode {
    /// From one file, read once.
    Serve {
        /// An `EdgeConfig` as JSON.
        config: PathBuf,
    },
    /// From boot copy and state file, and then from the operator.
    Run {
        /// Folder with `config.json`.
        boot: PathBuf,
        /// Folder with `tls.crt`, `tls.key` and `operator.pin`.
        link: PathBuf,
        /// Folder for `state.json`.
        state: PathBuf,
        /// Address for the operator.
        control: SocketAddr,
    },
}

/// Reads the command line; on a mistake explains it and exits.
pub fn parse() -> Settings {
    Cli::parse().into()
}

/// An edge of Proxima: answers viewers from its cache and fetches from the origin what it does not have.
#[derive(Debug, Parser)]
#[command(name = "proxima-edge", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve one configuration file, alone: no operator, no control port.
    Serve(ServeArgs),
    /// Serve what the operator says, beginning with the boot copy or the state file. This is what pods run.
    Run(RunArgs),
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// Configuration: an EdgeConfig as JSON.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Address for viewers; port 0 lets the system choose.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    http: SocketAddr,
    /// Address for /livez, /readyz and /metrics.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9090")]
    admin: SocketAddr,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// Folder with the boot copy, config.json.
    #[arg(long, value_name = "FOLDER")]
    boot: PathBuf,
    /// Folder with the keys of the control port: tls.crt, tls.key, operator.pin.
    #[arg(long, value_name = "FOLDER")]
    link: PathBuf,
    /// Folder for the state file; must outlive the process, and be writable.
    #[arg(long, value_name = "FOLDER")]
    state: PathBuf,
    /// Address for viewers; port 0 lets the system choose.
    #[arg(long, value_name = "ADDRESS:PORT")]
    http: SocketAddr,
    /// Address for the operator.
    #[arg(long, value_name = "ADDRESS:PORT")]
    control: SocketAddr,
    /// Address for /livez, /readyz and /metrics.
    #[arg(long, value_name = "ADDRESS:PORT")]
    admin: SocketAddr,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, Args)]
struct CommonArgs {
    /// Worker threads; absent: one for each processor that this process may use.
    #[arg(long, value_name = "NUMBER")]
    threads: Option<NonZeroUsize>,
    /// Zone of this edge, sent as X-Proxima-Zone.
    #[arg(long, env = "PROXIMA_ZONE", default_value = "default", value_parser = label)]
    zone: String,
    /// Name of this edge, sent in Via; absent: the machine's host name.
    #[arg(long, env = "PROXIMA_NAME", value_parser = label)]
    name: Option<String>,
    /// Let origins have loopback addresses; link-local ones and this edge's own stay refused. For development: whoever
    /// may configure an origin can then reach what listens on this machine only.
    #[arg(long)]
    allow_loopback_origins: bool,
    /// Exit when standard input ends, so that this process never outlives its parent.
    #[arg(long)]
    exit_with_stdin: bool,
    /// Where the access log goes: one line of JSON for each request.
    #[arg(long, value_enum, default_value_t = AccessLogTarget::Stdout)]
    access_log: AccessLogTarget,
    /// Messages on standard error: a level, or a filter such as `info,proxima_edge::control=debug`.
    #[arg(long, env = "PROXIMA_LOG", default_value = "info", value_name = "FILTER", value_parser = filter)]
    log: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum AccessLogTarget {
    Stdout,
    None,
}

/// Zone and name go into header values; Via asks for a token (RFC 9110 § 7.6.3), of which these characters are a part.
fn label(value: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if value.is_empty() || value.len() > LABEL_BYTES || !value.bytes().all(fits) {
        return Err(format!("must be 1 to {LABEL_BYTES} letters, digits, '-', '_' or '.'"));
    }
    Ok(value.to_owned())
}

fn filter(value: &str) -> Result<String, String> {
    match tracing_subscriber::EnvFilter::try_new(value) {
        Ok(_) => Ok(value.to_owned()),
        Err(error) => Err(format!("must be a level or a filter: {error}")),
    }
}

/// Longest zone or name, bytes: that of a DNS name, which pod names obey.
const LABEL_BYTES: usize = 253;

impl From<Cli> for Settings {
    fn from(cli: Cli) -> Self {
        match cli.command {
            Command::Serve(ServeArgs { config, http, admin, common }) => {
                common.resolve(Mode::Serve { config }, http, admin)
            }
            Command::Run(RunArgs { boot, link, state, http, control, admin, common }) => {
                common.resolve(Mode::Run { boot, link, state, control }, http, admin)
            }
        }
    }
}

impl CommonArgs {
    fn resolve(self, mode: Mode, http: SocketAddr, admin: SocketAddr) -> Settings {
        Settings {
            mode,
            http,
            admin,
            threads: self.threads.unwrap_or_else(|| std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)),
            zone: self.zone,
            name: self.name.unwrap_or_else(host_name),
            allow_loopback_origins: self.allow_loopback_origins,
            exit_with_stdin: self.exit_with_stdin,
            access_log: self.access_log == AccessLogTarget::Stdout,
            log_filter: self.log,
        }
    }
}

/// In a pod this is the pod's name.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .and_then(|name| label(name.trim()).ok())
        .unwrap_or_else(|| "edge".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(line: &str) -> Result<Settings, String> {
        Cli::try_parse_from(line.split_whitespace()).map(Settings::from).map_err(|error| error.to_string())
    }

    #[test]
    fn serve_needs_only_a_file() {
        let settings = settings("proxima-edge serve --config a.json").unwrap();
        assert_eq!(settings.http, "127.0.0.1:8080".parse().unwrap());
        assert_eq!(settings.admin, "127.0.0.1:9090".parse().unwrap());
        assert!(settings.access_log);
        assert!(!settings.allow_loopback_origins);
        assert!(!settings.name.is_empty());
        assert!(matches!(settings.mode, Mode::Serve { config } if config == *"a.json"));
    }

    #[test]
    fn run_takes_the_whole_line() {
        let settings = settings(
            "proxima-edge run --boot b --link l --state s --http 127.0.0.1:0 --control 127.0.0.1:0 --admin [::1]:0 \
             --threads 3 --zone sa-east-1a --name shop-edge-x --allow-loopback-origins --exit-with-stdin \
             --access-log none",
        )
        .unwrap();
        assert_eq!(settings.threads.get(), 3);
        assert_eq!((settings.zone.as_str(), settings.name.as_str()), ("sa-east-1a", "shop-edge-x"));
        assert!(settings.allow_loopback_origins && settings.exit_with_stdin && !settings.access_log);
        assert!(matches!(settings.mode, Mode::Run { .. }));
    }

    #[test]
    fn mistakes_name_the_flag() {
        for (line, flag) in [
            ("proxima-edge serve", "--config"),
            ("proxima-edge serve --config a --threads 0", "--threads"),
            ("proxima-edge serve --config a --http nowhere", "--http"),
            ("proxima-edge serve --config a --zone a/b", "--zone"),
            ("proxima-edge serve --config a --access-log file", "--access-log"),
            ("proxima-edge serve --config a --log a=b=c", "--log"),
            ("proxima-edge run --boot b --link l --state s --http 127.0.0.1:0 --admin 127.0.0.1:0", "--control"),
        ] {
            let message = settings(line).unwrap_err();
            assert!(message.contains(flag), "{line}: {message}");
        }
    }
}
