//! The cache policies that every cluster has, by CloudFront's names and with CloudFront's numbers ("Use managed cache
//! policies"), and `OriginControlled`, which is Proxima's own.

use proxima_crds::v1alpha1::ManagedCachePolicy;
use proxima_edge_core::edge_config::{CacheKeyConfig, CachePolicyConfig, ForwardConfig, Selection, SetCookiePolicy};

/// A second, in the milliseconds of an edge's configuration.
const SECOND: u64 = 1_000;
/// CloudFront's default of `DefaultTTL`.
const DAY: u64 = 86_400 * SECOND;
/// CloudFront's default of `MaxTTL`.
const YEAR: u64 = 31_536_000 * SECOND;

/// A managed policy, resolved.
pub fn managed(policy: ManagedCachePolicy) -> CachePolicyConfig {
    let config = match policy {
        ManagedCachePolicy::CachingOptimized => {
            with_ttl(SECOND, Some(DAY), YEAR, compressed(CacheKeyConfig::default()))
        }
        ManagedCachePolicy::CachingOptimizedForUncompressedObjects => {
            with_ttl(SECOND, Some(DAY), YEAR, CacheKeyConfig::default())
        }
        ManagedCachePolicy::CachingDisabled => with_ttl(0, Some(0), 0, CacheKeyConfig::default()),
        ManagedCachePolicy::UseOriginCacheControlHeaders => with_ttl(0, Some(0), YEAR, viewer_key(Selection::None)),
        ManagedCachePolicy::UseOriginCacheControlHeadersQueryStrings => {
            with_ttl(0, Some(0), YEAR, viewer_key(Selection::All))
        }
        ManagedCachePolicy::OriginControlled => origin_controlled(),
    };
    CachePolicyConfig { name: policy.as_str().to_owned(), ..config }
}

/// What CloudFront's API fills in for a new policy.
pub fn unmanaged() -> CachePolicyConfig {
    with_ttl(0, Some(DAY), YEAR, CacheKeyConfig::default())
}

fn with_ttl(min: u64, default: Option<u64>, max: u64, key: CacheKeyConfig) -> CachePolicyConfig {
    CachePolicyConfig {
        name: "inline".to_owned(),
        min_ttl_ms: min,
        default_ttl_ms: default,
        max_ttl_ms: max,
        key,
        forward: ForwardConfig::default(),
        set_cookie: SetCookiePolicy::Bypass,
        override_origin_directives: false,
        origin_controlled: false,
        honor_request_directives: false,
    }
}

fn compressed(key: CacheKeyConfig) -> CacheKeyConfig {
    CacheKeyConfig { accept_encoding_gzip: true, accept_encoding_brotli: true, ..key }
}

/// What `UseOriginCacheControlHeaders` has in its key.
fn viewer_key(query_strings: Selection) -> CacheKeyConfig {
    let headers = ["host", "origin", "x-http-method", "x-http-method-override", "x-method-override"];
    compressed(CacheKeyConfig {
        headers: headers.map(str::to_owned).to_vec(),
        cookies: Selection::All,
        query_strings,
        ..CacheKeyConfig::default()
    })
}

/// What RFC 9111 asks of a shared cache: the whole target URI in the key, all of the viewer's headers to the origin,
/// freshness as the origin says or as its Last-Modified suggests.
fn origin_controlled() -> CachePolicyConfig {
    let key = CacheKeyConfig { scheme: true, host: true, query_strings: Selection::All, ..CacheKeyConfig::default() };
    CachePolicyConfig {
        forward: ForwardConfig { all_viewer_headers: true },
        origin_controlled: true,
        ..with_ttl(0, None, YEAR, key)
    }
}

#[cfg(test)]
mod tests;
