//! A configuration, compiled: every name resolved, every pattern parsed, nothing left that could be wrong.

mod compile;
mod hosts;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use self::hosts::Hosts;
use crate::edge_config::{
    AllowedMethods, CachedMethods, EdgeConfig, FEATURES, OriginProtocolPolicy, Selection, SetCookiePolicy,
    ViewerProtocolPolicy,
};
use crate::path_pattern::PathPattern;

/// A proven configuration.
#[derive(Debug)]
pub struct Plan {
    /// Bytes of memory that the cache may take.
    pub cache_memory: u64,
    /// All distributions.
    pub distributions: Vec<Arc<Distribution>>,
    /// Which of them answers to a Host.
    pub(crate) hosts: Hosts,
}

/// Why a configuration cannot be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Path of the field in [`EdgeConfig`], such as `distributions[0].behaviors[2].pathPattern`.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.field, self.message)
    }
}

/// One distribution, compiled.
#[derive(Debug)]
pub struct Distribution {
    /// Begins every cache key.
    pub uid: String,
    /// `namespace/name`.
    pub name: String,
    /// When false every request is refused.
    pub enabled: bool,
    /// Host names; empty: any.
    pub aliases: Vec<String>,
    /// Host names besides the aliases.
    pub service_hosts: Vec<String>,
    /// Served for `/`; with a leading slash.
    pub default_root_object: Option<String>,
    /// All origins.
    pub origins: Vec<Arc<Origin>>,
    /// In order.
    pub behaviors: Vec<Arc<Behavior>>,
    /// When no pattern matches.
    pub default_behavior: Arc<Behavior>,
}

/// One origin, compiled.
#[derive(Debug)]
pub struct Origin {
    /// Unique within the distribution.
    pub name: String,
    /// Name or address to connect to, IPv6 without brackets.
    pub connect_host: String,
    /// Port where `connect_to` says so; else by scheme.
    pub connect_port: Option<u16>,
    /// Host to send, without port.
    pub host: String,
    /// Which scheme is spoken.
    pub protocol_policy: OriginProtocolPolicy,
    /// Port for http.
    pub http_port: u16,
    /// Port for https.
    pub https_port: u16,
    /// Host field for http: `host`, and the port where it is not 80.
    pub http_authority: HeaderValue,
    /// Host field for https: `host`, and the port where it is not 443.
    pub https_authority: HeaderValue,
    /// Name to verify and SNI; absent: the Host sent.
    pub tls_server_name: Option<String>,
    /// Who may vouch for it besides the public authorities.
    pub ca_bundle: Option<CaBundle>,
    /// In front of the path.
    pub path: String,
    /// Sent on every request.
    pub custom_headers: Vec<(HeaderName, HeaderValue)>,
    /// Attempts, 1 to 3.
    pub connection_attempts: u8,
    /// Wait for TCP and TLS.
    pub connection_timeout: Duration,
    /// Wait for the head, and between two reads of the body.
    pub response_timeout: Duration,
    /// How long an idle connection is kept.
    pub keep_alive_timeout: Duration,
}

/// Certificates of authorities that may vouch for an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaBundle {
    /// The certificates, PEM.
    pub pem: String,
    /// SHA-256 of `pem`: tells one trust from another in few bytes.
    pub digest: [u8; 32],
}

/// One behaviour, compiled.
#[derive(Debug)]
pub struct Behavior {
    /// Absent for the default behaviour.
    pub path_pattern: Option<PathPattern>,
    /// Where to fetch.
    pub origin: Arc<Origin>,
    /// http and https.
    pub viewer_protocol_policy: ViewerProtocolPolicy,
    /// Answered at all.
    pub allowed_methods: AllowedMethods,
    /// May be stored.
    pub cached_methods: CachedMethods,
    /// Key, lifetime and storage.
    pub cache_policy: CachePolicy,
}

/// A cache policy, compiled.
#[derive(Debug)]
pub struct CachePolicy {
    /// For logs.
    pub name: String,
    /// Lower bound.
    pub min_ttl: Duration,
    /// Where the origin names none; absent: heuristic.
    pub default_ttl: Option<Duration>,
    /// Upper bound of what the origin names.
    pub max_ttl: Duration,
    /// Scheme joins the key.
    pub key_scheme: bool,
    /// Host joins the key.
    pub key_host: bool,
    /// The viewer's Host is sent to the origin (and is in the key).
    pub forward_host: bool,
    /// Headers in the key, without Host and, where it is normalised, Accept-Encoding; sorted.
    pub key_headers: Vec<HeaderName>,
    /// Cookies in the key.
    pub key_cookies: Selection,
    /// Query parameters in the key.
    pub key_query_strings: Selection,
    /// gzip in the normalised Accept-Encoding.
    pub accept_encoding_gzip: bool,
    /// br in the normalised Accept-Encoding.
    pub accept_encoding_brotli: bool,
    /// All end-to-end headers of the viewer reach the origin.
    pub forward_all_viewer_headers: bool,
    /// What a response with Set-Cookie meets.
    pub set_cookie: SetCookiePolicy,
    /// The minimum wins over `no-store`, `private`, `no-cache`, `Vary: *`.
    pub override_origin_directives: bool,
    /// RFC 9111 rules for a shared cache.
    pub origin_controlled: bool,
    /// Cache directives of viewers count.
    pub honor_request_directives: bool,
}

impl CachePolicy {
    /// All lifetimes are zero: nothing is stored, nobody waits for another's fetch.
    pub fn is_disabled(&self) -> bool {
        self.min_ttl.is_zero() && self.default_ttl.is_some_and(|ttl| ttl.is_zero()) && self.max_ttl.is_zero()
    }
}

impl Plan {
    /// Proves a configuration, or lists everything that is wrong with it.
    pub fn compile(config: &EdgeConfig) -> Result<Self, Vec<Problem>> {
        compile::plan(config)
    }
}

/// Names in [`EdgeConfig::requires`] that this build does not know.
pub fn unknown_features(config: &EdgeConfig) -> Vec<String> {
    config.requires.iter().filter(|feature| !FEATURES.contains(&feature.as_str())).cloned().collect()
}

/// One port, as it stands in a Host field, or nothing for the default of the scheme.
pub(crate) fn authority(host: &str, port: u16, default_port: u16) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    if port == default_port { host } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests;
