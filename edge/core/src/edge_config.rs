//! The contract between operator and edge: what an edge is told to serve.
//!
//! Written by the operator (`translate`), read by [`Plan::compile`](crate::plan::Plan::compile), which proves it. Every
//! reference is already resolved and every default already filled in; an edge never guesses. An edge refuses a
//! configuration that requires something not in [`FEATURES`], so that an older edge never silently ignores, say, an
//! access rule; it ignores other fields that it does not know.

use serde::{Deserialize, Serialize};

/// All that one edge process serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EdgeConfig {
    /// Names of features that the edge must know to serve this configuration truthfully; see [`FEATURES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// Bounds of the cache that all distributions of this edge share.
    #[serde(default)]
    pub cache: CacheConfig,
    /// The distributions, each with hosts of its own.
    pub distributions: Vec<DistributionConfig>,
}

/// Every feature name that this build honours in [`EdgeConfig::requires`]. Empty in the first version: all that it has
/// is the base line.
pub const FEATURES: &[&str] = &[];

/// Bounds of the edge's cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CacheConfig {
    /// Bytes of memory that stored responses may take, bookkeeping included.
    pub memory: u64,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { memory: 256 << 20 }
    }
}

/// One `Distribution`, resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DistributionConfig {
    /// Identity of the Kubernetes object; begins every cache key.
    pub uid: String,
    /// `namespace/name`, for logs and metrics.
    pub name: String,
    /// When false every request is answered 403 with reason `DistributionDisabled`.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Host names of viewers, lower case; `*.example.com` matches one or more labels in front. Empty: any Host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Host names that are answered besides the aliases: names of the edge's own Services, loopback in local mode.
    /// Without effect while `aliases` is empty. Addresses are written as in a Host header, without port. A `*` at the end
    /// of the first label stands for the rest of that label: `shop-edge-*.web.svc` for the Service of each zone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub service_hosts: Vec<String>,
    /// Path, without leading slash, that is served for `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_root_object: Option<String>,
    /// Origins, by unique name.
    pub origins: Vec<OriginConfig>,
    /// Applied when no path pattern matches.
    pub default_behavior: BehaviorConfig,
    /// Tried in order; the first whose pattern matches applies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub behaviors: Vec<PathBehaviorConfig>,
}

fn yes() -> bool {
    true
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// One origin server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OriginConfig {
    /// Unique within the distribution.
    pub name: String,
    /// Host name or address literal (IPv6 without brackets); also the Host sent, unless the viewer's is forwarded.
    pub host: String,
    /// Where to connect instead of `host`: `HOST:PORT`. Local mode maps a Service to an address with it; Host header,
    /// TLS name and everything else stay as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_to: Option<String>,
    /// Which scheme is spoken to the origin.
    pub protocol_policy: OriginProtocolPolicy,
    /// Port for http.
    pub http_port: u16,
    /// Port for https.
    pub https_port: u16,
    /// Name to verify in the certificate and to send as SNI; absent: the Host that is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_server_name: Option<String>,
    /// Certificates of authorities that may vouch for this origin besides the public ones, PEM. An edge that does not
    /// know this field trusts the public ones alone, so that it refuses the origin rather than trusting too much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<String>,
    /// Put in front of the request path; begins with `/`, does not end with it; empty for none.
    #[serde(default)]
    pub path: String,
    /// Sent on every request and replacing the viewer's of the same name. In the order given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub custom_headers: Vec<HeaderConfig>,
    /// Attempts to connect, 1 to 3; for GET and HEAD also attempts when no answer comes in time.
    pub connection_attempts: u8,
    /// Wait for TCP and TLS together, milliseconds.
    pub connection_timeout_ms: u64,
    /// Wait for the response head, and between two reads of its body, milliseconds.
    pub response_timeout_ms: u64,
    /// How long an idle connection is kept, milliseconds.
    pub keep_alive_timeout_ms: u64,
}

/// CloudFront's `OriginProtocolPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OriginProtocolPolicy {
    /// Always http.
    HttpOnly,
    /// Always https.
    HttpsOnly,
    /// The scheme of the viewer's request.
    MatchViewer,
}

/// A header that the edge adds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderConfig {
    /// Field name, any case.
    pub name: String,
    /// Field value.
    pub value: String,
}

/// A behaviour for the paths that a pattern matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PathBehaviorConfig {
    /// CloudFront's path pattern: `*` is any run of characters, `?` exactly one; a leading `/` is optional.
    pub path_pattern: String,
    /// What applies there.
    #[serde(flatten)]
    pub behavior: BehaviorConfig,
}

/// How requests of one kind are answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BehaviorConfig {
    /// Name of an origin.
    pub target_origin: String,
    /// What happens to viewers that come without TLS.
    pub viewer_protocol_policy: ViewerProtocolPolicy,
    /// Methods that are answered at all.
    pub allowed_methods: AllowedMethods,
    /// Methods whose responses may be stored.
    pub cached_methods: CachedMethods,
    /// Key, lifetime and storage rules.
    pub cache_policy: CachePolicyConfig,
}

/// CloudFront's `ViewerProtocolPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ViewerProtocolPolicy {
    /// http and https alike.
    AllowAll,
    /// http GET and HEAD get 301, other methods 307.
    RedirectToHttps,
    /// http gets 403.
    HttpsOnly,
}

/// CloudFront's `AllowedMethods`, and `Any`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AllowedMethods {
    /// GET and HEAD.
    GetHead,
    /// GET, HEAD and OPTIONS.
    GetHeadOptions,
    /// GET, HEAD, OPTIONS, PUT, PATCH, POST and DELETE.
    All,
    /// Every method but CONNECT and TRACE, unregistered ones too.
    Any,
}

/// CloudFront's `CachedMethods`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CachedMethods {
    /// GET and HEAD, which share one entry.
    GetHead,
    /// OPTIONS too, under an entry of its own.
    GetHeadOptions,
}

/// A cache policy, resolved: managed names and `basedOn` are already expanded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CachePolicyConfig {
    /// For logs and explanations: the managed name, or `inline`.
    pub name: String,
    /// Lower bound of freshness, milliseconds.
    pub min_ttl_ms: u64,
    /// Freshness where the origin names none; absent: heuristic freshness (RFC 9111 § 4.2.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_ttl_ms: Option<u64>,
    /// Upper bound of freshness that the origin names, milliseconds.
    pub max_ttl_ms: u64,
    /// What joins the key besides distribution and path.
    pub key: CacheKeyConfig,
    /// What reaches the origin besides what is in the key.
    #[serde(default)]
    pub forward: ForwardConfig,
    /// What happens to a response that sets a cookie.
    pub set_cookie: SetCookiePolicy,
    /// CloudFront's own rule: `no-store`, `private`, `no-cache` and `Vary: *` of the origin yield to the minimum TTL.
    #[serde(default)]
    pub override_origin_directives: bool,
    /// Unsafe methods remove what is stored under their URI (RFC 9111 § 4.4), responses with status 400, 413, 416, 431
    /// and errors need explicit freshness: what RFC 9111 asks of a shared cache beyond CloudFront.
    #[serde(default)]
    pub origin_controlled: bool,
    /// `no-cache`, `no-store`, `max-age`, `min-fresh`, `max-stale` and `stale-if-error` of a viewer's Cache-Control are
    /// honoured (RFC 9111 § 5.2.1), so that viewers can make the edge ask the origin. `only-if-cached` always is.
    #[serde(default, skip_serializing_if = "is_false")]
    pub honor_request_directives: bool,
}

/// What joins the cache key. Everything in the key is also sent to the origin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CacheKeyConfig {
    /// Scheme of the viewer's request.
    #[serde(default)]
    pub scheme: bool,
    /// Host of the viewer's request, as a key only: sent to the origin when `headers` names `host`.
    #[serde(default)]
    pub host: bool,
    /// Header names, lower case. `host` means that the viewer's Host is also sent to the origin.
    #[serde(default)]
    pub headers: Vec<String>,
    /// Cookies.
    #[serde(default)]
    pub cookies: Selection,
    /// Query string parameters.
    #[serde(default)]
    pub query_strings: Selection,
    /// `gzip` takes part in Accept-Encoding, which is normalised (CloudFront's `EnableAcceptEncodingGzip`).
    #[serde(default)]
    pub accept_encoding_gzip: bool,
    /// `br` takes part in Accept-Encoding, which is normalised (CloudFront's `EnableAcceptEncodingBrotli`).
    #[serde(default)]
    pub accept_encoding_brotli: bool,
}

/// What reaches the origin without being in the key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ForwardConfig {
    /// All end-to-end headers of the viewer but Host; cookies among them.
    #[serde(default)]
    pub all_viewer_headers: bool,
}

/// Which members of a set take part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Selection {
    /// None of them.
    #[default]
    None,
    /// Those named. Names are case-sensitive.
    Some(Vec<String>),
    /// All but those named.
    AllExcept(Vec<String>),
    /// All of them.
    All,
}

/// What happens to a cacheable response that carries Set-Cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SetCookiePolicy {
    /// It is not stored.
    Bypass,
    /// It is stored without the field, and the field is removed for every viewer.
    Strip,
    /// It is stored and replayed with the field.
    Store,
}

#[cfg(test)]
mod tests;
