//! Where content comes from.

use kube::{KubeSchema, core::Rule};
use serde::{Deserialize, Serialize};

use crate::scalars::{
    ConfigMapKey, ConfigMapName, Duration, HeaderName, HeaderValue, HostName, OriginName, OriginPath, OriginPort,
    ServiceName,
};

/// Names that `customHeaders` must not set, in lower case: CloudFront's list ("Custom headers that CloudFront can't add
/// to origin requests"), and `expect`, `keep-alive` and `x-forwarded-for`, which are the edge's own to write. The
/// prefixes `x-amz-` and `x-edge-` are refused too.
pub const CUSTOM_HEADER_DENYLIST: [&str; 26] = [
    "cache-control",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "max-forwards",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "request-range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-forwarded-for",
    "x-real-ip",
];

/// A server that content comes from (CloudFront: `Origin`). Exactly one of `http` and `service` says which.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("has(self.http) != has(self.service)")
        .message("give exactly one of http and service"),
)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    /// Name that behaviours refer to, unique in the distribution. CloudFront: `Id`.
    pub name: OriginName,

    /// A server by host name or address. CloudFront: `DomainName` with `CustomOriginConfig`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpOrigin>,

    /// A Kubernetes Service in the Distribution's namespace, reached over http.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceOrigin>,

    /// Put in front of every path that is requested from the origin; begins with `/` and does not end with it.
    /// CloudFront: `OriginPath`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<OriginPath>,

    /// Headers that every request to the origin carries; they replace the viewer's of the same name. At most 30, in
    /// total at most 10240 characters. CloudFront: `CustomHeaders`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 30))]
    #[x_kube(
        merge_strategy = ListMerge::Map(vec!["name".into()]),
        validation = Rule::new("self.map(h, size(h.name) + size(h.value)).sum() <= 10240")
            .message("customHeaders: names and values together are at most 10240 characters"),
    )]
    pub custom_headers: Vec<CustomHeader>,

    /// Attempts to connect, 1 to 3; for GET and HEAD also attempts when no answer comes in time. CloudFront:
    /// `ConnectionAttempts`.
    #[serde(default = "connection_attempts")]
    #[schemars(range(min = 1, max = 3))]
    pub connection_attempts: u8,

    /// How long connecting may take, TLS included, `1s` to `10s`. CloudFront: `ConnectionTimeout`.
    #[serde(default = "connection_timeout")]
    #[x_kube(validation = between("connectionTimeout", "1s", "10s"))]
    pub connection_timeout: Duration,

    /// How long the origin may take for its first byte, and between two reads of its answer, `1s` to `120s`.
    /// CloudFront: `OriginReadTimeout`.
    #[serde(default = "response_timeout")]
    #[x_kube(validation = between("responseTimeout", "1s", "120s"))]
    pub response_timeout: Duration,

    /// How long an idle connection is kept for the next request, `1s` to `120s`. CloudFront: `OriginKeepaliveTimeout`.
    #[serde(default = "keep_alive_timeout")]
    #[x_kube(validation = between("keepAliveTimeout", "1s", "120s"))]
    pub keep_alive_timeout: Duration,
}

fn connection_attempts() -> u8 {
    3
}

fn connection_timeout() -> Duration {
    Duration::from("10s")
}

fn response_timeout() -> Duration {
    Duration::from("30s")
}

fn keep_alive_timeout() -> Duration {
    Duration::from("5s")
}

/// A rule for a duration. What is no duration at all passes: the scalar's own rule explains it.
fn between(field: &str, least: &str, most: &str) -> Rule {
    let format = crate::scalars::DURATION_PATTERN;
    Rule::new(format!(
        "!self.matches('{format}') || (duration(self) >= duration('{least}') && duration(self) <= duration('{most}'))"
    ))
    .message(format!("{field}: use {least} to {most}").as_str())
}

/// A server by host name or address.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("!has(self.tls) || self.protocolPolicy != 'HttpOnly'")
        .message("tls: remove it, or use a protocolPolicy other than HttpOnly, which never speaks TLS")
        .field_path(".tls"),
)]
#[serde(rename_all = "camelCase")]
pub struct HttpOrigin {
    /// Host name, or IPv4 or IPv6 address; no scheme, port or brackets. Also the Host that is sent, unless the cache
    /// policy forwards the viewer's. CloudFront: `DomainName`.
    pub host: HostName,

    /// Which scheme is spoken to the origin: `HttpOnly`, `HttpsOnly`, or `MatchViewer` for that of the viewer's
    /// request. CloudFront: `OriginProtocolPolicy`.
    pub protocol_policy: OriginProtocolPolicy,

    /// Port for http: 80, 443 or 1024 to 65535. CloudFront: `HTTPPort`.
    #[serde(default = "http_port")]
    pub http_port: OriginPort,

    /// Port for https: 80, 443 or 1024 to 65535. CloudFront: `HTTPSPort`.
    #[serde(default = "https_port")]
    pub https_port: OriginPort,

    /// How https is spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<OriginTls>,
}

fn http_port() -> OriginPort {
    OriginPort::from(80)
}

fn https_port() -> OriginPort {
    OriginPort::from(443)
}

/// Which scheme is spoken to the origin (CloudFront: `OriginProtocolPolicy`).
#[derive(schemars::JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(transform = crate::generate::without_description)]
pub enum OriginProtocolPolicy {
    /// Always http.
    HttpOnly,
    /// Always https.
    HttpsOnly,
    /// The scheme of the viewer's request.
    MatchViewer,
}

/// How https is spoken to an origin.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OriginTls {
    /// Name to look for in the origin's certificate, and to send as SNI. Absent: the Host that is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<HostName>,

    /// Certificate authorities that may vouch for this origin, besides the public ones. Absent: the public ones alone.
    /// A change of the ConfigMap reaches edges like one of the Distribution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle_ref: Option<CaBundleRef>,
}

/// A key of a ConfigMap that holds certificates of authorities, PEM.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CaBundleRef {
    /// Name of a ConfigMap in the Distribution's namespace.
    pub name: ConfigMapName,

    /// Key of the ConfigMap under which the certificates stand.
    #[serde(default = "ca_bundle_key")]
    pub key: ConfigMapKey,
}

fn ca_bundle_key() -> ConfigMapKey {
    ConfigMapKey::from("ca.crt")
}

/// A Kubernetes Service in the Distribution's namespace.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceOrigin {
    /// Name of the Service.
    pub name: ServiceName,

    /// Port of the Service, 1 to 65535.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
}

/// A header that requests to the origin carry (CloudFront: `OriginCustomHeader`).
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomHeader {
    /// Name of the header, at most 256 characters, none that the edge itself needs. CloudFront: `HeaderName`.
    #[x_kube(validation = not_denied())]
    pub name: HeaderName,

    /// Value of the header: printable ASCII, at most 1783 characters. CloudFront: `HeaderValue`.
    pub value: HeaderValue,
}

fn not_denied() -> Rule {
    let names = CUSTOM_HEADER_DENYLIST.map(|name| format!("'{name}'")).join(", ");
    Rule::new(format!(
        "!(self.lowerAscii() in [{names}]) && !self.lowerAscii().startsWith('x-amz-') && \
         !self.lowerAscii().startsWith('x-edge-')"
    ))
    .message("customHeaders: this header cannot be set, since the edge needs or reserves it; use another name")
}
