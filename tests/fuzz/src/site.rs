//! Configurations that inputs choose among.

use std::sync::LazyLock;

use proxima_edge_core::edge_config::{
    AllowedMethods, BehaviorConfig, CacheConfig, CacheKeyConfig, CachePolicyConfig, CachedMethods, DistributionConfig,
    EdgeConfig, ForwardConfig, OriginConfig, OriginProtocolPolicy, Selection, SetCookiePolicy, ViewerProtocolPolicy,
};
use proxima_edge_core::plan::Plan;
use proxima_edge_core::route::Route;

/// One route for each way that a byte's lower six bits can be set.
static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(|| (0..64).map(compile).collect());

/// The route that a byte chooses.
pub(crate) fn route(choice: u8) -> &'static Route {
    &ROUTES[usize::from(choice) % ROUTES.len()]
}

fn compile(choice: u8) -> Route {
    let plan = Plan::compile(&config(choice)).unwrap();
    let distribution = plan.distributions[0].clone();
    Route { behavior: distribution.default_behavior.clone(), distribution }
}

fn policy(choice: u8) -> CachePolicyConfig {
    let chosen = |bit: u8| choice >> bit & 1 == 1;
    CachePolicyConfig {
        name: "fuzz".into(),
        min_ttl_ms: if chosen(1) { 60_000 } else { 0 },
        default_ttl_ms: (!chosen(2)).then_some(86_400_000),
        max_ttl_ms: 31_536_000_000,
        key: key(chosen(0), chosen(3)),
        forward: ForwardConfig { all_viewer_headers: false },
        set_cookie: match choice >> 4 {
            0 => SetCookiePolicy::Bypass,
            1 => SetCookiePolicy::Strip,
            _ => SetCookiePolicy::Store,
        },
        override_origin_directives: chosen(1) && chosen(5),
        origin_controlled: chosen(3),
        honor_request_directives: chosen(0),
    }
}

fn key(named: bool, host: bool) -> CacheKeyConfig {
    let names = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    CacheKeyConfig {
        scheme: named,
        host,
        headers: if named { names(&["x-a", "accept-language"]) } else { names(&["host", "x-b"]) },
        cookies: if named { Selection::Some(names(&["session", "a"])) } else { Selection::AllExcept(names(&["b"])) },
        query_strings: if named { Selection::Some(names(&["a", "page"])) } else { Selection::All },
        accept_encoding_gzip: true,
        accept_encoding_brotli: named,
    }
}

fn config(choice: u8) -> EdgeConfig {
    EdgeConfig {
        requires: Vec::new(),
        cache: CacheConfig { memory: 64 << 20 },
        distributions: vec![DistributionConfig {
            uid: "00000000-0000-0000-0000-000000000001".into(),
            name: "default/site".into(),
            enabled: true,
            aliases: Vec::new(),
            service_hosts: Vec::new(),
            default_root_object: (choice & 1 == 1).then(|| "index.html".into()),
            default_behavior: BehaviorConfig {
                target_origin: "site".into(),
                viewer_protocol_policy: ViewerProtocolPolicy::AllowAll,
                allowed_methods: AllowedMethods::Any,
                cached_methods: CachedMethods::GetHeadOptions,
                cache_policy: policy(choice),
            },
            origins: vec![origin()],
            behaviors: Vec::new(),
        }],
    }
}

fn origin() -> OriginConfig {
    OriginConfig {
        name: "site".into(),
        host: "site.internal.example".into(),
        connect_to: None,
        protocol_policy: OriginProtocolPolicy::MatchViewer,
        http_port: 80,
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
