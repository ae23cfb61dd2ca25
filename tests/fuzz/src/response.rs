//! Response heads: nothing that forbids storing is stored, and time only ever makes a response older.

use std::time::Duration;

use http::header::{AGE, CONNECTION, CONTENT_LENGTH, DATE, SET_COOKIE, TRANSFER_ENCODING};
use http::{HeaderMap, Method, StatusCode, Version};
use proxima_edge_core::cache_control::CacheControl;
use proxima_edge_core::decide::Decision;
use proxima_edge_core::edge_config::SetCookiePolicy;
use proxima_edge_core::entry::StoredResponse;
use proxima_edge_core::freshness::Staleness;
use proxima_edge_core::limits;
use proxima_edge_core::origin_request::{OriginRequest, Purpose};
use proxima_edge_core::outcome::{NotStored, Reason};
use proxima_edge_core::request::ViewerRequest;
use proxima_edge_core::route::Route;
use proxima_edge_core::storable::{OriginResponse, end_to_end};
use proxima_edge_core::timestamp::Timestamp;
use proxima_edge_core::validation::{Confirmed, HeadVerdict};

use crate::{input, site};

/// 1 January 2026, noon: when responses are received.
const NOON: Timestamp = Timestamp::from_millis(1_767_268_800_000);

const STATUSES: [u16; 16] = [200, 203, 204, 206, 301, 302, 304, 307, 400, 403, 404, 410, 416, 500, 503, 599];

/// Three bytes choose route, status and how much later it is looked at. Then fields of the response, an empty line,
/// fields of a later one, an empty line, and fields of a request.
pub(crate) fn target(data: &[u8]) {
    let ([choice, status, later], data) = input::choices::<3>(data);
    let (mut first, data) = input::fields(data);
    let (mut second, data) = input::fields(data);
    let (asked, _) = input::fields(data);
    let status = StatusCode::from_u16(STATUSES[usize::from(status) % STATUSES.len()]).unwrap();
    let (Some(request), route) = (request(asked), site::route(choice)) else { return };
    end_to_end(&mut first);
    end_to_end(&mut second);
    let origin_request = route.origin_request(&request, Purpose::Fill);
    let response = received(status, first);
    let Ok(stored) = route.storable(&origin_request, &response, 0) else { return };
    check_stored(route, &response, &stored);
    // Steps of a second, a quarter of an hour, ten days and so on: lifetimes come in all sizes.
    let elapsed = Duration::from_secs(1 << (later & 31)) + Duration::from_millis(u64::from(later >> 5) * 125);
    check_time(route, &stored, elapsed);
    check_directives(route, &stored);
    check_decision(route, &stored, &request, NOON.plus(elapsed));
    check_update(route, &stored, &origin_request, second);
}

/// As it is stored when a plain GET brings it, under the route that `choice` stands for.
pub(crate) fn stored(choice: u8, status: StatusCode, headers: HeaderMap) -> Result<StoredResponse, NotStored> {
    let route = site::route(choice);
    let request = route.origin_request(&request(HeaderMap::new()).expect("it is plain"), Purpose::Fill);
    route.storable(&request, &received(status, headers), 0)
}

fn request(headers: HeaderMap) -> Option<ViewerRequest> {
    input::parts(Method::GET.as_str().as_bytes(), b"/page?a=1", Version::HTTP_11, headers).and_then(input::viewer)
}

fn received(status: StatusCode, headers: HeaderMap) -> OriginResponse {
    let requested_at = Timestamp::from_millis(NOON.as_millis() - 500);
    OriginResponse { status, headers, body_length: Some(5), requested_at, received_at: NOON }
}

/// What is kept, and that it may be.
fn check_stored(route: &Route, response: &OriginResponse, stored: &StoredResponse) {
    let policy = &route.behavior.cache_policy;
    // Empty ones keep the place of what every answer sets.
    for name in [AGE, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        assert!(stored.headers.get(&name).is_none_or(|value| value.is_empty()), "{name} is kept");
    }
    assert!(stored.headers.contains_key(DATE));
    assert!(policy.set_cookie == SetCookiePolicy::Store || !stored.headers.contains_key(SET_COOKIE));
    assert!(stored.vary.len() <= limits::VARY_NAMES);
    assert!(stored.vary.windows(2).all(|pair| pair[0].as_str() < pair[1].as_str()), "sorted, once each");
    let directives = CacheControl::of_response(&response.headers);
    if !policy.override_origin_directives {
        assert!(!directives.private, "private, and stored");
        assert!(!directives.no_store || directives.must_understand, "no-store, and stored");
    }
    let longest = policy.max_ttl.max(policy.min_ttl).max(policy.default_ttl.unwrap_or_default()).max(limits::ERROR_TTL);
    let here = policy.lifetime(stored).saturating_sub(stored.initial_age);
    assert!(here <= longest, "fresh here for longer than the policy allows");
    assert!(stored.initial_age >= Duration::ZERO && stored.weight() > 0);
}

/// What was stale or unusable stays so.
fn check_time(route: &Route, stored: &StoredResponse, elapsed: Duration) {
    let policy = &route.behavior.cache_policy;
    let (now, next) = (NOON.plus(elapsed), NOON.plus(elapsed + Duration::from_secs(1)));
    assert!(stored.age(now) >= elapsed && stored.age(next) > stored.age(now));
    assert!(policy.ttl(stored, next) < policy.ttl(stored, now));
    assert!(policy.is_fresh(stored, now) || !policy.is_fresh(stored, next), "fresh again");
    assert!(policy.ttl(stored, now) <= 0 || policy.is_fresh(stored, now));
    assert!(policy.ttl(stored, now) >= 0 || !policy.is_fresh(stored, now));
    for why in [Staleness::WhileRevalidate, Staleness::IfError] {
        let may = |now| policy.may_serve_stale(stored, why, now);
        assert!(may(now) || !may(next), "{why:?} again");
    }
}

/// A longer lifetime is never shorter, and what forbids storing leaves none.
fn check_directives(route: &Route, stored: &StoredResponse) {
    let policy = &route.behavior.cache_policy;
    let lifetime = |change: &dyn Fn(&mut StoredResponse)| {
        let mut changed = stored.clone();
        change(&mut changed);
        policy.lifetime(&changed)
    };
    let named = policy.lifetime(stored);
    let longer = |seconds: &mut Option<u64>| *seconds = seconds.map(|seconds| seconds + 1);
    assert!(lifetime(&|entry| longer(&mut entry.cache_control.max_age)) >= named, "max-age");
    assert!(lifetime(&|entry| longer(&mut entry.cache_control.s_maxage)) >= named, "s-maxage");
    let second = Duration::from_secs(1);
    assert!(lifetime(&|entry| entry.expires = entry.expires.map(|at| at.plus(second))) >= named, "expires");
    if !policy.override_origin_directives {
        assert_eq!(lifetime(&|entry| entry.cache_control.private = true), Duration::ZERO);
        assert_eq!(lifetime(&|entry| entry.cache_control.no_cache = true), Duration::ZERO);
    }
}

fn check_decision(route: &Route, stored: &StoredResponse, request: &ViewerRequest, now: Timestamp) {
    let fresh = route.behavior.cache_policy.is_fresh(stored, now);
    let replayable = route.may_replay(stored, request);
    match route.decide(Some(stored), request, now) {
        Decision::Serve => assert!(fresh && replayable, "served, and not fresh or not for this viewer"),
        Decision::ServeStale(reason) => {
            assert!(!fresh && replayable);
            let known = [Reason::StaleWhileRevalidate, Reason::StaleAsRequested];
            assert!(known.contains(&reason), "{reason:?}");
        }
        Decision::Revalidate => assert!(replayable),
        Decision::Fetch(_) | Decision::Bypass(_) | Decision::Refuse(_) => {}
    }
}

/// Later heads about the same representation leave its identity alone.
fn check_update(route: &Route, stored: &StoredResponse, request: &OriginRequest, fields: HeaderMap) {
    let confirmation = received(StatusCode::NOT_MODIFIED, fields.clone());
    if let Confirmed::Kept(kept) = route.confirm(stored, request, &confirmation, 1) {
        assert_eq!((kept.status, &kept.vary, kept.body_length), (stored.status, &stored.vary, stored.body_length));
        check_stored(route, &OriginResponse { headers: kept.headers.clone(), ..confirmation }, &kept);
    }
    let head = received(StatusCode::OK, fields);
    if let HeadVerdict::Kept(kept) = route.updated_by_head(stored, request, &head, 1) {
        assert_eq!((kept.status, &kept.vary, kept.body_length), (stored.status, &stored.vary, stored.body_length));
    }
}
