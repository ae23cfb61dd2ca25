//! `proxima.dev/v1alpha1`: the kinds and what they consist of.

pub mod behavior;
pub mod cache_policy;
pub mod distribution;
pub mod edge;
pub mod origin;

pub use behavior::{AllowedMethods, Behavior, CacheBehavior, CachedMethods, ViewerProtocolPolicy};
pub use cache_policy::{
    CacheKey, CachePolicy, HeaderBehavior, HeaderSelection, InlineCachePolicy, ManagedCachePolicy, ParameterBehavior,
    ParameterSelection, SetCookie, Ttl,
};
pub use distribution::{Address, AddressType, Distribution, DistributionSpec, DistributionStatus, Zone, ZoneStatus};
pub use edge::{
    Edge, EdgeCache, EdgeResources, EdgeService, ResourceAmounts, ServiceType, TaintEffect, Toleration,
    TolerationOperator,
};
pub use origin::{CaBundleRef, CustomHeader, HttpOrigin, Origin, OriginProtocolPolicy, OriginTls, ServiceOrigin};

/// API group of every kind.
pub const GROUP: &str = "proxima.dev";
/// The version that this module holds.
pub const VERSION: &str = "v1alpha1";
/// What `apiVersion` says in a manifest.
pub const API_VERSION: &str = "proxima.dev/v1alpha1";
