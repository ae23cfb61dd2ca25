//! Edge configurations to start from. Fields are public: a test changes what it is about.

use std::net::SocketAddr;

use proxima_edge_core::edge_config::{
    AllowedMethods, BehaviorConfig, CacheConfig, CacheKeyConfig, CachePolicyConfig, CachedMethods, DistributionConfig,
    EdgeConfig, ForwardConfig, OriginConfig, OriginProtocolPolicy, PathBehaviorConfig, Selection, SetCookiePolicy,
    ViewerProtocolPolicy,
};
use proxima_edge_core::link::{Envelope, content_hash};

/// One day and one year, milliseconds.
const DAY: u64 = 24 * 3600 * 1000;
const YEAR: u64 = 365 * DAY;

/// One distribution for any Host with one origin, named `site`, that decides what is stored and for how long.
pub fn site(origin: SocketAddr) -> EdgeConfig {
    with_origin(self::origin(origin))
}

/// As [`site`], under what RFC 9111 asks of a shared cache, for every method: key by host and query, every field of the
/// viewer goes to the origin.
pub fn origin_controlled(origin: SocketAddr) -> EdgeConfig {
    let mut edge_config = site(origin);
    let behavior = &mut edge_config.distributions[0].default_behavior;
    behavior.allowed_methods = AllowedMethods::Any;
    let policy = &mut behavior.cache_policy;
    (policy.origin_controlled, policy.default_ttl_ms) = (true, None);
    policy.forward.all_viewer_headers = true;
    policy.key.host = true;
    edge_config
}

/// As [`site`], with an origin as given.
pub fn with_origin(origin: OriginConfig) -> EdgeConfig {
    EdgeConfig {
        requires: Vec::new(),
        cache: CacheConfig { memory: 64 << 20 },
        distributions: vec![DistributionConfig {
            uid: "00000000-0000-0000-0000-000000000001".into(),
            name: "default/site".into(),
            enabled: true,
            aliases: Vec::new(),
            service_hosts: Vec::new(),
            default_root_object: None,
            default_behavior: behavior(&origin.name, policy()),
            origins: vec![origin],
            behaviors: Vec::new(),
        }],
    }
}

/// An http origin named `site`.
pub fn origin(address: SocketAddr) -> OriginConfig {
    OriginConfig {
        name: "site".into(),
        host: address.ip().to_string(),
        connect_to: None,
        protocol_policy: OriginProtocolPolicy::HttpOnly,
        http_port: address.port(),
        https_port: 443,
        tls_server_name: None,
        ca_bundle: None,
        path: String::new(),
        custom_headers: Vec::new(),
        connection_attempts: 1,
        connection_timeout_ms: 5_000,
        response_timeout_ms: 30_000,
        keep_alive_timeout_ms: 5_000,
    }
}

/// A behaviour that answers GET and HEAD.
pub fn behavior(origin: &str, cache_policy: CachePolicyConfig) -> BehaviorConfig {
    BehaviorConfig {
        target_origin: origin.into(),
        viewer_protocol_policy: ViewerProtocolPolicy::AllowAll,
        allowed_methods: AllowedMethods::GetHead,
        cached_methods: CachedMethods::GetHead,
        cache_policy,
    }
}

/// A behaviour for a path pattern.
pub fn path_behavior(pattern: &str, behavior: BehaviorConfig) -> PathBehaviorConfig {
    PathBehaviorConfig { path_pattern: pattern.into(), behavior }
}

/// Stores what the origin gives a lifetime and nothing else. Key: path and query string.
pub fn policy() -> CachePolicyConfig {
    CachePolicyConfig {
        name: "inline".into(),
        min_ttl_ms: 0,
        default_ttl_ms: Some(0),
        max_ttl_ms: YEAR,
        key: CacheKeyConfig { query_strings: Selection::All, ..CacheKeyConfig::default() },
        forward: ForwardConfig::default(),
        set_cookie: SetCookiePolicy::Bypass,
        override_origin_directives: false,
        origin_controlled: false,
        honor_request_directives: false,
    }
}

/// Stores everything for a day.
pub fn policy_of_a_day() -> CachePolicyConfig {
    CachePolicyConfig { default_ttl_ms: Some(DAY), ..policy() }
}

/// Stores nothing.
pub fn policy_of_nothing() -> CachePolicyConfig {
    CachePolicyConfig { name: "CachingDisabled".into(), max_ttl_ms: 0, ..policy() }
}

/// A configuration as the operator sends it.
pub fn envelope(config: EdgeConfig, term: u64, revision: u64) -> Envelope {
    let uid = config.distributions[0].uid.clone();
    let generation = i64::try_from(revision).expect("revisions of tests are small");
    Envelope { uid, term, revision, epoch: 0, generation, hash: content_hash(&config), config }
}
