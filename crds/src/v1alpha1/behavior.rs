//! How requests are answered.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::CachePolicy;
use crate::scalars::{OriginName, PathPattern};

/// How requests are answered (CloudFront: `CacheBehavior`, `DefaultCacheBehavior`).
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("self.cachedMethods != 'GetHeadOptions' || self.allowedMethods != 'GetHead'")
        .message("cachedMethods: GetHeadOptions needs allowedMethods GetHeadOptions, All or Any")
        .field_path(".cachedMethods"),
)]
#[serde(rename_all = "camelCase")]
pub struct Behavior {
    /// Name of the origin that answers. CloudFront: `TargetOriginId`.
    pub target_origin: OriginName,

    /// What happens to viewers that come over plain http: `AllowAll` serves them, `RedirectToHttps` answers GET and
    /// HEAD with 301 and other methods with 307, `HttpsOnly` answers 403. CloudFront: `ViewerProtocolPolicy`.
    #[serde(default)]
    pub viewer_protocol_policy: ViewerProtocolPolicy,

    /// Methods that are answered, all others get 403: `GetHead`, `GetHeadOptions`, `All` (GET, HEAD, OPTIONS, PUT,
    /// PATCH, POST, DELETE) or `Any` (also unregistered ones, but not CONNECT and TRACE). CloudFront: `AllowedMethods`.
    #[serde(default)]
    pub allowed_methods: AllowedMethods,

    /// Methods whose answers may be cached: `GetHead` or `GetHeadOptions`. CloudFront: `CachedMethods`.
    #[serde(default)]
    pub cached_methods: CachedMethods,

    /// How long answers are kept and what tells them apart. Absent: the managed policy `OriginControlled`. CloudFront:
    /// `CachePolicyId`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_policy: Option<CachePolicy>,
}

/// How requests for some paths are answered (CloudFront: `CacheBehavior`).
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CacheBehavior {
    /// Paths that this behaviour is for: `*` stands for any run of characters, also none and also with slashes, `?` for
    /// exactly one. Case matters, a leading `/` does not. At most 255 characters. CloudFront: `PathPattern`.
    pub path_pattern: PathPattern,

    /// How they are answered.
    #[serde(flatten)]
    pub behavior: Behavior,
}

/// What happens to viewers that come over plain http (CloudFront: `ViewerProtocolPolicy`).
#[derive(schemars::JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(transform = crate::generate::without_description)]
pub enum ViewerProtocolPolicy {
    /// They are served.
    #[default]
    AllowAll,
    /// GET and HEAD get 301, other methods 307.
    RedirectToHttps,
    /// They get 403.
    HttpsOnly,
}

/// Methods that are answered (CloudFront: `AllowedMethods`).
#[derive(schemars::JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(transform = crate::generate::without_description)]
pub enum AllowedMethods {
    /// GET and HEAD.
    #[default]
    GetHead,
    /// GET, HEAD and OPTIONS.
    GetHeadOptions,
    /// GET, HEAD, OPTIONS, PUT, PATCH, POST and DELETE.
    All,
    /// Every method but CONNECT and TRACE.
    Any,
}

/// Methods whose answers may be cached (CloudFront: `CachedMethods`).
#[derive(schemars::JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[schemars(transform = crate::generate::without_description)]
pub enum CachedMethods {
    /// GET and HEAD.
    #[default]
    GetHead,
    /// GET, HEAD and OPTIONS.
    GetHeadOptions,
}
