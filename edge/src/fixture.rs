//! For unit tests of single parts: an edge without sockets, and a route to an origin.

use std::path::Path;
use std::sync::Arc;

use hyper::Request;
use proxima_edge_core::edge_config::{DistributionConfig, EdgeConfig};
use proxima_edge_core::plan::Plan;
use proxima_edge_core::request::{ConnectionFacts, Scheme, ViewerRequest};
use proxima_edge_core::route::Route;
use proxima_edge_core::timestamp::Timestamp;

use crate::clock::Clock;
use crate::edge::Edge;
use crate::metrics::Metrics;
use crate::plan_source::PlanSource;
use crate::process::edge_for_tests;

/// Has no configuration and a clock that stands still; may reach origins on loopback.
pub(crate) fn edge() -> Arc<Edge> {
    let (clock, metrics) = (Clock::manual(Timestamp::from_millis(1_000)), Arc::new(Metrics::new()));
    let nowhere = Path::new("/nonexistent");
    let plans = PlanSource::open(nowhere, nowhere, clock.clone(), Arc::clone(&metrics));
    Arc::new(edge_for_tests(plans, clock, metrics))
}

/// What `GET /page` comes to under a distribution of one origin, whose response timeout is 10 s and whom nobody asks
/// twice, with these changes.
pub(crate) fn route(change: impl FnOnce(&mut DistributionConfig)) -> (Route, ViewerRequest) {
    let mut config: EdgeConfig = serde_json::from_value(serde_json::json!({
        "distributions": [{
            "uid": "u", "name": "web/shop",
            "origins": [{
                "name": "site", "host": "origin.test", "protocolPolicy": "HttpOnly", "httpPort": 80, "httpsPort": 443,
                "connectionAttempts": 1, "connectionTimeoutMs": 10_000, "responseTimeoutMs": 10_000,
                "keepAliveTimeoutMs": 5_000,
            }],
            "defaultBehavior": {
                "targetOrigin": "site", "viewerProtocolPolicy": "AllowAll", "allowedMethods": "GetHead",
                "cachedMethods": "GetHead",
                "cachePolicy": {
                    "name": "inline", "minTtlMs": 0, "defaultTtlMs": 0, "maxTtlMs": 3_600_000, "key": {},
                    "setCookie": "Bypass",
                },
            },
        }],
    }))
    .unwrap();
    change(&mut config.distributions[0]);
    let facts = ConnectionFacts { peer: "127.0.0.1:4000".parse().unwrap(), scheme: Scheme::Http };
    let head = Request::get("/page").header("host", "viewer.test").body(()).unwrap().into_parts().0;
    let request = ViewerRequest::read(&facts, head, false).unwrap();
    let route = Plan::compile(&config).unwrap().route(&request).unwrap();
    (route, request)
}
