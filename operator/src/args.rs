//! The command line, resolved once into settings that cannot be wrong. The only reader of the environment.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroUsize};
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

mod run;

pub use run::{LogFormat, RunSettings};

/// Where Services have their names when nobody says otherwise.
const CLUSTER_DOMAIN: &str = "cluster.local";
/// Zones when neither the command line nor the Distribution names any.
const DEFAULT_ZONES: [&str; 3] = ["a", "b", "c"];
/// File name of the edge's binary.
const EDGE_BINARY: &str = "proxima-edge";

/// The command line as typed.
#[derive(Debug, Parser)]
#[command(name = "proxima-operator", version, about = "Turns Distributions into configured edge caches", after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: RawCommand,
}

const EXAMPLES: &str = "\
Examples:
  # Three zones on this machine, in front of a folder that plays the Service `site`:
  proxima-operator local --manifest crds/examples/quickstart.yaml --serve crds/examples/site=site

  # The same manifest in front of a server of yours:
  proxima-operator local --manifest shop.yaml --origin api=http://127.0.0.1:3000

  # For a cluster:
  proxima-operator crds | kubectl apply --server-side -f -";

const LOCAL_EXAMPLES: &str = "\
Examples:
  # Three zones, one edge each, on ports 8080, 8081 and 8082:
  proxima-operator local --manifest shop.yaml --serve ./public=site

  # Two zones with two edges each, on ports that are free:
  proxima-operator local --manifest shop.yaml --origin web/api=http://127.0.0.1:3000 \\
      --zones eu-1,eu-2 --replicas 2 --listen 127.0.0.1:0

  # For scripts: one JSON line per edge on standard output when it is ready:
  proxima-operator local --manifest shop.yaml --serve ./public=site --listen 127.0.0.1:0 --output json

While it runs, edit the manifest: a valid change is live on every edge without a restart, a wrong one is explained and
changes nothing. Ctrl-C lets requests in progress finish and stops everything.

Exit codes: 0 stopped by a signal; 1 something failed while running; 2 wrong arguments or a wrong manifest at the start.";

#[derive(Debug, Subcommand)]
enum RawCommand {
    /// Run Distributions on this machine: an edge process per zone and replica, configured like in a cluster.
    #[command(after_help = LOCAL_EXAMPLES)]
    Local(Box<RawLocal>),
    /// Run as the operator of a cluster: edges in every zone for each Distribution.
    #[command(after_help = run::EXAMPLES)]
    Run(Box<run::RawRun>),
    /// Print the CustomResourceDefinitions as YAML, for `kubectl apply --server-side -f -`.
    Crds,
    /// Ask a URL once and exit with 0 when the answer is 2xx, else with 1: for probes of Pods without another client.
    Probe {
        /// Such as http://127.0.0.1:9090/readyz.
        #[arg(value_parser = crate::probe::url)]
        url: http::Uri,
    },
}

#[derive(Debug, Args)]
struct RawLocal {
    /// Manifest files; each may hold several documents. Watched while running.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    manifest: Vec<PathBuf>,
    /// Zones to run edges in. Wins over `spec.zones`; without either: a,b,c.
    #[arg(long, value_name = "ZONE,…", value_delimiter = ',', value_parser = zone)]
    zones: Vec<String>,
    /// Edges per zone. Wins over the Distribution; without either: 1.
    #[arg(long, value_name = "N")]
    replicas: Option<NonZeroU16>,
    /// Address of the first edge; every further one takes the next port. Port 0: any free ports.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// A server that plays a Service, such as api=http://127.0.0.1:3000. NAME is a Service's name or NAMESPACE/NAME.
    #[arg(long, value_name = "NAME=URL", value_parser = origin)]
    origin: Vec<(ServiceSelector, String)>,
    /// A folder that plays a Service, such as ./public=site. NAME is a Service's name or NAMESPACE/NAME.
    #[arg(long, value_name = "DIR=NAME", value_parser = served)]
    serve: Vec<(ServiceSelector, PathBuf)>,
    /// Worker threads of each edge.
    #[arg(long, value_name = "N", default_value = "1")]
    threads: NonZeroUsize,
    /// The edge's binary. Without it: beside this one, else on PATH.
    #[arg(long, value_name = "PATH")]
    edge_binary: Option<PathBuf>,
    /// What standard output is for. Logs always go to standard error.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    /// Copy the edges' access logs to standard error.
    #[arg(long)]
    access_log: bool,
    /// Filter for the edges' own logs, such as `info`. The operator's own filter is RUST_LOG.
    #[arg(long, value_name = "FILTER", env = "PROXIMA_LOG", default_value = "warn")]
    edge_log: String,
    /// DNS domain of the cluster whose Services the manifest names.
    #[arg(long, value_name = "DOMAIN", default_value = CLUSTER_DOMAIN)]
    cluster_domain: String,
}

/// What standard output is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A table and hints, for people.
    Text,
    /// One JSON object per edge and line, for programs.
    Json,
}

/// What to do.
#[derive(Clone, Debug)]
pub enum Command {
    /// See [`crate::local`].
    Local(Box<LocalSettings>),
    /// See [`mod@crate::run`].
    Run(Box<RunSettings>),
    /// Print the CustomResourceDefinitions.
    Crds,
    /// See [`crate::probe`].
    Probe(http::Uri),
}

/// All that a local run is told.
#[derive(Clone, Debug)]
pub struct LocalSettings {
    /// Files to read and to watch.
    pub manifests: Vec<PathBuf>,
    /// Zones and replicas.
    pub placement: Placement,
    /// Address of the first edge.
    pub listen: SocketAddr,
    /// Services played by servers: `HOST:PORT`.
    pub origins: Vec<(ServiceSelector, String)>,
    /// Services played by folders.
    pub served: Vec<(ServiceSelector, PathBuf)>,
    /// How edges are started.
    pub edge: EdgeSettings,
    /// What standard output is for.
    pub output: Output,
    /// DNS domain of Services.
    pub cluster_domain: String,
    /// Where the private folder of the run is made.
    pub temporary: PathBuf,
}

/// Where edges run unless the Distribution says so, and what it is overruled with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Wins over the Distribution's zones.
    pub zones: Option<Vec<String>>,
    /// Applies when neither names zones.
    pub default_zones: Vec<String>,
    /// Wins over the Distribution's replicas.
    pub replicas: Option<u32>,
    /// Applies when neither names replicas.
    pub default_replicas: u32,
}

/// How edges are started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeSettings {
    /// The binary.
    pub binary: PathBuf,
    /// Worker threads of each.
    pub threads: usize,
    /// Whether they write access logs.
    pub access_log: bool,
    /// Filter for their own logs.
    pub log: String,
}

/// Which Services a mapping is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceSelector {
    /// Only in this namespace; absent: in every Distribution's own.
    pub namespace: Option<String>,
    /// Name of the Service.
    pub name: String,
}

/// What is wrong with the command line as a whole.
#[derive(Debug, thiserror::Error)]
pub enum ArgsError {
    /// The edge's binary is nowhere.
    #[error(
        "cannot find {EDGE_BINARY} beside this program or on PATH; build it with `cargo build --release`, or name it with --edge-binary PATH"
    )]
    NoEdgeBinary,
    /// The named binary is not there.
    #[error("--edge-binary {0}: there is no such file")]
    WrongEdgeBinary(PathBuf),
    /// A zone is named twice.
    #[error("--zones names {0:?} twice; each zone gets edges of its own, use --replicas for more in one zone")]
    ZoneTwice(String),
    /// Two mappings for one name.
    #[error("--origin and --serve name the Service {0} twice; only one of them can play it")]
    ServiceTwice(String),
}

impl ServiceSelector {
    /// As typed.
    pub fn text(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}/{}", self.name),
            None => self.name.clone(),
        }
    }
}

impl Cli {
    /// The filter for the operator's own log.
    #[expect(clippy::disallowed_methods, reason = "settings are resolved here")]
    pub fn log_filter() -> String {
        // The client tells of each failed connection; so does whoever made it, with what was attempted.
        std::env::var("RUST_LOG").unwrap_or_else(|_| "info,kube_client::client::builder=off".to_owned())
    }

    /// Settings that can be worked with.
    pub fn resolve(self) -> Result<Command, ArgsError> {
        match self.command {
            RawCommand::Crds => Ok(Command::Crds),
            RawCommand::Probe { url } => Ok(Command::Probe(url)),
            RawCommand::Local(raw) => Ok(Command::Local(Box::new(raw.resolve()?))),
            RawCommand::Run(raw) => Ok(Command::Run(Box::new(raw.resolve()))),
        }
    }
}

impl RawLocal {
    fn resolve(self) -> Result<LocalSettings, ArgsError> {
        let selectors = self.origin.iter().map(|(selector, _)| selector).chain(self.serve.iter().map(|(s, _)| s));
        if let Some(twice) = first_repeated(selectors) {
            return Err(ArgsError::ServiceTwice(twice.text()));
        }
        if let Some(twice) = first_repeated(&self.zones) {
            return Err(ArgsError::ZoneTwice(twice.clone()));
        }
        Ok(LocalSettings {
            placement: Placement {
                zones: (!self.zones.is_empty()).then_some(self.zones),
                default_zones: DEFAULT_ZONES.map(str::to_owned).to_vec(),
                replicas: self.replicas.map(|replicas| u32::from(replicas.get())),
                default_replicas: 1,
            },
            edge: EdgeSettings {
                binary: edge_binary(self.edge_binary)?,
                threads: self.threads.get(),
                access_log: self.access_log,
                log: self.edge_log,
            },
            manifests: self.manifest,
            listen: self.listen,
            origins: self.origin,
            served: self.serve,
            output: self.output,
            cluster_domain: self.cluster_domain,
            temporary: std::env::temp_dir(),
        })
    }
}

fn first_repeated<'a, T: Ord>(items: impl IntoIterator<Item = &'a T>) -> Option<&'a T> {
    let mut seen = BTreeSet::new();
    items.into_iter().find(|item| !seen.insert(*item))
}

fn edge_binary(named: Option<PathBuf>) -> Result<PathBuf, ArgsError> {
    if let Some(named) = named {
        return if named.is_file() { Ok(named) } else { Err(ArgsError::WrongEdgeBinary(named)) };
    }
    let beside = std::env::current_exe().ok().and_then(|own| own.parent().map(|folder| folder.join(EDGE_BINARY)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join(EDGE_BINARY));
    beside.into_iter().chain(on_path).find(|candidate| candidate.is_file()).ok_or(ArgsError::NoEdgeBinary)
}

/// A zone becomes a label value of nodes and part of names.
fn zone(text: &str) -> Result<String, String> {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let valid = (1..=63).contains(&text.len())
        && text.chars().all(inner)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric());
    if valid {
        Ok(text.to_owned())
    } else {
        Err("a zone has 1 to 63 letters, digits, `-`, `_` or `.`, and begins and ends with a letter or digit"
            .to_owned())
    }
}

fn selector(text: &str) -> Result<ServiceSelector, String> {
    let (namespace, name) = match text.split_once('/') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, text),
    };
    let is_label = |text: &str| {
        (1..=63).contains(&text.len())
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && !text.starts_with('-')
            && !text.ends_with('-')
    };
    if is_label(name) && namespace.is_none_or(is_label) {
        Ok(ServiceSelector { namespace: namespace.map(str::to_owned), name: name.to_owned() })
    } else {
        Err(format!("{text:?} is neither the name of a Service nor NAMESPACE/NAME"))
    }
}

/// `NAME=URL`, where the URL has no more than a host and a port: paths and headers are the Distribution's business.
fn origin(text: &str) -> Result<(ServiceSelector, String), String> {
    let (name, url) = text.split_once('=').ok_or("write NAME=URL, such as api=http://127.0.0.1:3000")?;
    let uri: http::Uri = url.parse().map_err(|error| format!("{url:?} is not a URL: {error}"))?;
    if uri.scheme_str() != Some("http") {
        return Err(format!("{url:?} must begin with http://, since edges speak plain HTTP to a Service"));
    }
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(format!(
            "{url:?} must end after host and port; a path is set by `path` of the origin in the manifest"
        ));
    }
    let authority = uri.authority().ok_or_else(|| format!("{url:?} names no host"))?;
    if authority.host().is_empty() || authority.as_str().contains('@') {
        return Err(format!("{url:?} must name a host and a port only"));
    }
    Ok((selector(name)?, format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80))))
}

/// `DIR=NAME`; a folder may have `=` in its name, a Service may not.
fn served(text: &str) -> Result<(ServiceSelector, PathBuf), String> {
    let (folder, name) = text.rsplit_once('=').ok_or("write DIR=NAME, such as ./public=site")?;
    if !Path::new(folder).is_dir() {
        return Err(format!("{folder:?} is not a folder"));
    }
    Ok((selector(name)?, PathBuf::from(folder)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<RawLocal, String> {
        let line = ["proxima-operator", "local", "--manifest", "shop.yaml"].iter().chain(args);
        match Cli::try_parse_from(line).map_err(|error| error.to_string())?.command {
            RawCommand::Local(raw) => Ok(*raw),
            _ => Err("another command".to_owned()),
        }
    }

    fn in_namespace(namespace: Option<&str>, name: &str) -> ServiceSelector {
        ServiceSelector { namespace: namespace.map(str::to_owned), name: name.to_owned() }
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn origins_are_resolved_to_host_and_port() {
        let raw = parse(&["--origin", "api=http://127.0.0.1:3000", "--origin", "web/site=http://[::1]/"]).unwrap();
        assert_eq!(
            raw.origin,
            [
                (in_namespace(None, "api"), "127.0.0.1:3000".to_owned()),
                (in_namespace(Some("web"), "site"), "[::1]:80".to_owned()),
            ]
        );
    }

    #[test]
    fn an_origin_that_is_not_a_plain_http_server_is_refused() {
        for (text, hint) in [
            ("api", "NAME=URL"),
            ("api=https://example.com", "http://"),
            ("api=http://example.com/v1", "`path`"),
            ("api=http://user@example.com", "host and a port only"),
            ("Api=http://example.com", "NAMESPACE/NAME"),
            ("a/b/c=http://example.com", "NAMESPACE/NAME"),
        ] {
            let error = parse(&["--origin", text]).unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_refused() {
        assert!(parse(&["--serve", "/no/such/folder=site"]).unwrap_err().contains("is not a folder"));
    }

    #[test]
    fn names_may_not_be_given_twice() {
        let folder = tempfile::tempdir().unwrap();
        let serve = format!("{}=site", folder.path().display());
        let raw = parse(&["--serve", &serve, "--origin", "site=http://127.0.0.1:1"]).unwrap();
        assert!(matches!(raw.resolve(), Err(ArgsError::ServiceTwice(name)) if name == "site"));
        assert!(
            matches!(parse(&["--zones", "a,b,a"]).unwrap().resolve(), Err(ArgsError::ZoneTwice(zone)) if zone == "a")
        );
    }

    #[test]
    fn zones_must_be_label_values() {
        assert_eq!(parse(&["--zones", "sa-east-1a,B_2"]).unwrap().zones, ["sa-east-1a", "B_2"]);
        for zones in ["a,", "-a", "a/b"] {
            assert!(parse(&["--zones", zones]).is_err(), "{zones}");
        }
    }

    #[test]
    fn an_edge_binary_that_is_not_there_is_named() {
        let error = parse(&["--edge-binary", "/no/such/edge"]).unwrap().resolve().unwrap_err();
        assert!(error.to_string().contains("/no/such/edge"));
    }
}
