//! How long answers are kept, and what tells them apart.

use kube::{KubeSchema, core::Rule};
use serde::{Deserialize, Serialize};

use crate::scalars::{DURATION_PATTERN, Duration, HeaderName, ParameterName};

/// A cache policy (CloudFront: `CachePolicyConfig`). Exactly one of `managed` and `inline`.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("has(self.managed) != has(self.inline)")
        .message("cachePolicy: give exactly one of managed and inline; inline.basedOn changes a managed policy"),
)]
#[serde(rename_all = "camelCase")]
pub struct CachePolicy {
    /// A built-in policy by name, with CloudFront's settings: `CachingOptimized` (keeps answers a day where the origin
    /// says nothing, ignores query strings), `CachingOptimizedForUncompressedObjects`, `CachingDisabled`,
    /// `UseOriginCacheControlHeaders`, `UseOriginCacheControlHeaders-QueryStrings`; or `OriginControlled`, which does
    /// what RFC 9111 asks of a shared cache and is the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<ManagedCachePolicy>,

    /// A policy of one's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline: Option<InlineCachePolicy>,
}

/// Cache policies that every cluster has.
#[derive(schemars::JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[schemars(transform = crate::generate::without_description)]
pub enum ManagedCachePolicy {
    /// Keeps answers a day where the origin says nothing; one copy per path and content encoding.
    CachingOptimized,
    /// Keeps nothing.
    CachingDisabled,
    /// As `CachingOptimized`, with one copy per path.
    CachingOptimizedForUncompressedObjects,
    /// Keeps what the origin's headers say; host, origin, method override and cookies tell answers apart.
    UseOriginCacheControlHeaders,
    /// As `UseOriginCacheControlHeaders`, and query strings tell answers apart.
    #[serde(rename = "UseOriginCacheControlHeaders-QueryStrings")]
    UseOriginCacheControlHeadersQueryStrings,
    /// Keeps what RFC 9111 lets a shared cache keep; scheme, host, path and query string tell answers apart.
    OriginControlled,
}

impl ManagedCachePolicy {
    /// Every one of them.
    pub const ALL: [Self; 6] = [
        Self::CachingOptimized,
        Self::CachingDisabled,
        Self::CachingOptimizedForUncompressedObjects,
        Self::UseOriginCacheControlHeaders,
        Self::UseOriginCacheControlHeadersQueryStrings,
        Self::OriginControlled,
    ];

    /// The name that manifests use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CachingOptimized => "CachingOptimized",
            Self::CachingDisabled => "CachingDisabled",
            Self::CachingOptimizedForUncompressedObjects => "CachingOptimizedForUncompressedObjects",
            Self::UseOriginCacheControlHeaders => "UseOriginCacheControlHeaders",
            Self::UseOriginCacheControlHeadersQueryStrings => "UseOriginCacheControlHeaders-QueryStrings",
            Self::OriginControlled => "OriginControlled",
        }
    }
}

/// A cache policy of one's own.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InlineCachePolicy {
    /// A built-in policy that supplies every field which is not given here. Absent: CloudFront's defaults for a new
    /// policy, which are a minimum of 0 s, a default of a day, a maximum of a year and nothing in the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub based_on: Option<ManagedCachePolicy>,

    /// How long answers are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Ttl>,

    /// What, besides the path, tells answers apart and is sent to the origin. CloudFront:
    /// `ParametersInCacheKeyAndForwardedToOrigin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<CacheKey>,

    /// What happens to a cacheable answer with Set-Cookie: `Bypass` does not keep it, `Strip` keeps it without the
    /// field and removes the field for every viewer, `Store` keeps and repeats it for every viewer, as CloudFront does.
    /// Absent: `Bypass`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_cookie: Option<SetCookie>,

    /// CloudFront's own rule: while `ttl.min` is above zero, `no-store`, `no-cache` and `private` of the origin are
    /// overridden. Absent: false, they are obeyed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub override_origin_directives: Option<bool>,

    /// `no-cache`, `no-store`, `max-age`, `min-fresh`, `max-stale` and `stale-if-error` in a viewer's Cache-Control are
    /// honoured, so that a viewer can make an edge ask the origin. Absent: false, as in CloudFront. `only-if-cached` is
    /// always honoured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub honor_request_directives: Option<bool>,
}

/// How long answers are kept. A bound that is not given moves out of the way of those that are.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = ordered("min", "default"),
    validation = ordered("default", "max"),
    validation = ordered("min", "max"),
)]
#[serde(rename_all = "camelCase")]
pub struct Ttl {
    /// Answers are kept at least this long, such as `1s` or `10m`. CloudFront: `MinTTL`, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Duration>,

    /// Answers are kept this long where the origin does not say, such as `24h`. CloudFront: `DefaultTTL`, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Duration>,

    /// Answers are kept at most this long, whatever the origin says, such as `8760h`. CloudFront: `MaxTTL`, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Duration>,
}

/// A rule for two durations of which either may be absent. What is no duration at all passes: the scalar's own rule
/// explains it.
fn ordered(less: &str, more: &str) -> Rule {
    Rule::new(format!(
        "!has(self.{less}) || !has(self.{more}) || !self.{less}.matches('{DURATION_PATTERN}') || \
         !self.{more}.matches('{DURATION_PATTERN}') || duration(self.{less}) <= duration(self.{more})"
    ))
    .message(format!("ttl.{less}: must not be longer than ttl.{more}").as_str())
    .field_path(format!(".{less}"))
}

/// What tells answers apart.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CacheKey {
    /// Headers of the request. CloudFront: `HeadersConfig`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<HeaderSelection>,

    /// Cookies of the request. CloudFront: `CookiesConfig`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookies: Option<ParameterSelection>,

    /// Query string parameters of the request. CloudFront: `QueryStringsConfig`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_strings: Option<ParameterSelection>,
}

/// Headers that tell answers apart (CloudFront: `HeadersConfig`).
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("(self.behavior == 'Some') == (has(self.names) && size(self.names) > 0)")
        .message("names: list at least one with behavior Some, and none with behavior None")
        .field_path(".names"),
)]
#[serde(rename_all = "camelCase")]
pub struct HeaderSelection {
    /// `None`, or `Some`: those in `names`. CloudFront: `HeaderBehavior`.
    pub behavior: HeaderBehavior,

    /// Names of headers, at most 40; case does not matter. `Host` sends the viewer's Host to the origin. CloudFront:
    /// `Headers`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 40))]
    #[x_kube(
        merge_strategy = ListMerge::Set,
        validation = Rule::new(keyable())
            .message("names: Cookie (use key.cookies), Range, X-Forwarded-For, CDN-Loop, conditional and connection headers \
                      cannot be in the key"),
    )]
    pub names: Vec<HeaderName>,
}

/// Headers that mean something else to a cache than a variant, or that the edge writes itself, in lower case.
pub const KEY_HEADER_DENYLIST: [&str; 22] = [
    "cdn-loop",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "max-forwards",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-forwarded-for",
];

fn keyable() -> String {
    let names = KEY_HEADER_DENYLIST.map(|name| format!("'{name}'")).join(", ");
    format!("self.all(n, !(n.lowerAscii() in [{names}]))")
}

/// Which headers (CloudFront: `HeaderBehavior`).
#[derive(schemars::JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(transform = crate::generate::without_description)]
pub enum HeaderBehavior {
    /// None of them.
    None,
    /// Those named.
    Some,
}

/// Cookies or query string parameters that tell answers apart (CloudFront: `CookiesConfig`, `QueryStringsConfig`).
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("(self.behavior in ['Some', 'AllExcept']) == (has(self.names) && size(self.names) > 0)")
        .message("names: list at least one with behavior Some or AllExcept, and none with behavior None or All")
        .field_path(".names"),
)]
#[serde(rename_all = "camelCase")]
pub struct ParameterSelection {
    /// `None`, `Some`: those in `names`, `AllExcept`: all but those in `names`, or `All`. CloudFront: `CookieBehavior`,
    /// `QueryStringBehavior`.
    pub behavior: ParameterBehavior,

    /// Names, at most 40; case matters. CloudFront: `Cookies`, `QueryStrings`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 40))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub names: Vec<ParameterName>,
}

/// Which cookies or query string parameters (CloudFront: `CookieBehavior`, `QueryStringBehavior`).
#[derive(schemars::JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(transform = crate::generate::without_description)]
pub enum ParameterBehavior {
    /// None of them.
    None,
    /// Those named.
    Some,
    /// All but those named.
    AllExcept,
    /// All of them.
    All,
}

/// What happens to a cacheable answer with Set-Cookie.
#[derive(schemars::JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(transform = crate::generate::without_description)]
pub enum SetCookie {
    /// It is not kept.
    Bypass,
    /// It is kept without the field, which is removed for every viewer.
    Strip,
    /// It is kept and repeated for every viewer.
    Store,
}
