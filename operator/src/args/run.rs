//! Flags of `run`, each also read from the environment, since that is where a chart puts them.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use clap::{Args, ValueEnum};
use proxima_crds::scalars;

use super::CLUSTER_DOMAIN;
use crate::distribution::build::ClusterSettings;

pub(super) const EXAMPLES: &str = "\
Examples:
  # In a cluster this is what the chart runs:
  proxima-operator run --edge-image registry.example/proxima-edge:0.1.0

  # From a workstation, for development, in a cluster in which no other operator runs: two would fight over the keys of
  # the edges. Pods must be reachable from here, since edges are configured over a connection to each of them:
  proxima-operator run --edge-image registry.example/proxima-edge:0.1.0 --namespace proxima-system --admin 127.0.0.1:9090

The API server is that of KUBECONFIG (or ~/.kube/config), else that of the service account of the Pod. While it cannot be
reached, refuses a request, or lacks the resource definitions, the reason is logged, shown at /readyz, and tried again.

Exit codes: 0 stopped by a signal; 1 something failed while running; 2 wrong arguments or an unusable kubeconfig.";

#[derive(Debug, Args)]
pub(super) struct RawRun {
    /// Image of the edges.
    #[arg(long, value_name = "IMAGE", env = "PROXIMA_EDGE_IMAGE")]
    edge_image: String,
    /// When nodes pull the image of the edges.
    #[arg(long, value_enum, env = "PROXIMA_EDGE_IMAGE_PULL_POLICY", default_value = "IfNotPresent")]
    edge_image_pull_policy: PullPolicy,
    /// Secrets with which nodes pull the image of the edges. They must exist in the namespace of every Distribution.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', env = "PROXIMA_EDGE_IMAGE_PULL_SECRETS")]
    edge_image_pull_secrets: Vec<String>,
    /// Messages of the edges: a level, or a filter such as `info,proxima_edge::control=debug`.
    #[arg(long, value_name = "FILTER", env = "PROXIMA_EDGE_LOG", default_value = "info")]
    edge_log: String,
    /// Access log of the edges: a line of JSON for each request on standard output, or none.
    #[arg(long, value_enum, env = "PROXIMA_EDGE_ACCESS_LOG", default_value = "stdout")]
    edge_access_log: AccessLog,
    /// The operator's own namespace, for its Lease and its key. Absent: that of the service account or kubeconfig.
    #[arg(long, value_name = "NAME", env = "PROXIMA_NAMESPACE")]
    namespace: Option<String>,
    /// DNS domain of the cluster.
    #[arg(long, value_name = "DOMAIN", env = "PROXIMA_CLUSTER_DOMAIN", default_value = CLUSTER_DOMAIN)]
    cluster_domain: String,
    /// How long a discovered zone keeps its edges after its last node has gone, such as 10m.
    #[arg(long, value_name = "DURATION", env = "PROXIMA_ZONE_GRACE", default_value = "10m", value_parser = duration)]
    zone_grace: Duration,
    /// Address for /livez, /readyz and /metrics; port 0 lets the system choose.
    #[arg(long, value_name = "ADDRESS:PORT", env = "PROXIMA_ADMIN", default_value = "0.0.0.0:9090")]
    admin: SocketAddr,
    /// Distributions that are reconciled at once.
    #[arg(long, value_name = "N", env = "PROXIMA_WORKERS", default_value = "8")]
    workers: NonZeroU16,
    /// How messages on standard error look. Their filter is RUST_LOG.
    #[arg(long, value_enum, env = "PROXIMA_LOG_FORMAT", default_value = "text")]
    log_format: LogFormat,
}

/// When nodes pull an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum PullPolicy {
    Always,
    IfNotPresent,
    Never,
}

impl PullPolicy {
    fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum AccessLog {
    Stdout,
    None,
}

/// How messages on standard error look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// An object a line, for collectors.
    Json,
}

/// All that a run in a cluster is told.
#[derive(Clone, Debug)]
pub struct RunSettings {
    /// What is the same for the edges of every Distribution; what depends on the server is filled in later.
    pub edges: ClusterSettings,
    /// DNS domain of the cluster.
    pub cluster_domain: String,
    /// Name of this machine: in a cluster that of the Pod.
    pub host_name: String,
    /// The operator's own namespace, if it was named.
    pub namespace: Option<String>,
    /// How long a discovered zone outlives its last node.
    pub zone_grace: Duration,
    /// Address for probes and metrics.
    pub admin: SocketAddr,
    /// Distributions that are reconciled at once.
    pub workers: u16,
    /// How messages look.
    pub log_format: LogFormat,
}

impl RawRun {
    pub(super) fn resolve(self) -> RunSettings {
        RunSettings {
            edges: ClusterSettings {
                edge_image: self.edge_image,
                pull_policy: self.edge_image_pull_policy.as_str().to_owned(),
                // A chart without such Secrets sets an empty variable.
                pull_secrets: self.edge_image_pull_secrets.into_iter().filter(|name| !name.is_empty()).collect(),
                access_log: self.edge_access_log == AccessLog::Stdout,
                log: self.edge_log,
                traffic_distribution: None,
            },
            cluster_domain: self.cluster_domain,
            host_name: host_name(),
            namespace: self.namespace.filter(|name| !name.is_empty()),
            zone_grace: self.zone_grace,
            admin: self.admin,
            workers: self.workers.get(),
            log_format: self.log_format,
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    scalars::Duration::from(text).to_std().map_err(|error| error.to_string())
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "proxima-operator".to_owned(),
        name => name.to_owned(),
    }
}
