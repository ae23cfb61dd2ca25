//! Step 8, what decides there: who may be answered by what another's request brings.
//!
//! Many requests become one (RFC 9111 § 4: a cache may "collapse requests") only where the cache may reuse the response for
//! each of them: it is fresh, or may be served stale. Otherwise each is for the origin, and none waits for another.

use crate::decide::Decision;
use crate::entry::StoredResponse;
use crate::freshness::Staleness;
use crate::request::ViewerRequest;
use crate::route::Route;
use crate::timestamp::Timestamp;

/// What a request makes of the response that another one brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// It is answered by it.
    Shared,
    /// It came too late for it: the response was for all who waited, and is too old by now. A new fetch is for all who
    /// come now.
    Outlived,
    /// It has to ask for itself.
    Alone,
}

/// When a request took part in another's fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// Before the response came.
    Waiting,
    /// Afterwards, at this time.
    Late(Timestamp),
}

impl Route {
    /// Whether requests for what is kept, and has expired, may wait for one revalidation. Not where the origin wants to be
    /// asked for each request.
    pub fn may_wait(&self, kept: &StoredResponse) -> bool {
        !self.behavior.cache_policy.lifetime(kept).is_zero()
    }

    /// Whether a request is answered by the response to another's fetch. Who waited for it may have it if it was good
    /// when it came; who comes later gets only what a lookup would give.
    pub fn shares(&self, response: &StoredResponse, request: &ViewerRequest, joined: Joined) -> Sharing {
        let Joined::Late(now) = joined else {
            return if self.arrived_usable(response) { Sharing::Shared } else { Sharing::Alone };
        };
        match self.decide(Some(response), request, now) {
            Decision::Serve | Decision::ServeStale(_) => Sharing::Shared,
            _ if self.arrived_usable(response) && !self.behavior.cache_policy.is_fresh(response, now) => {
                Sharing::Outlived
            }
            _ => Sharing::Alone,
        }
    }

    /// Whether a request is answered by what another's request has confirmed.
    pub fn shares_confirmed(&self, response: &StoredResponse, request: &ViewerRequest) -> bool {
        self.arrived_usable(response) && self.may_replay(response, request)
    }

    /// Whether it answered more than one request at the time when it came: then those who were waiting.
    fn arrived_usable(&self, response: &StoredResponse) -> bool {
        let policy = &self.behavior.cache_policy;
        policy.arrived_fresh(response)
            || policy.may_serve_stale(response, Staleness::WhileRevalidate, response.received_at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fixture::{NOON, origin_controlled, request, route_with, stored};

    /// What came at noon, so many seconds after it was asked for and, by its own word, of this age.
    fn came(text: &str, delay: u64, age: u64) -> StoredResponse {
        let requested_at = Timestamp::from_millis(NOON.as_millis() - delay * 1_000);
        StoredResponse { requested_at, initial_age: Duration::from_secs(age + delay), ..stored(text) }
    }

    fn check(response: &StoredResponse, waiting: Sharing, late: Sharing) {
        let (route, request) = (route_with(origin_controlled()), request("GET / HTTP/1.1"));
        assert_eq!(route.shares(response, &request, Joined::Waiting), waiting, "{response:?}");
        let two_seconds_later = Joined::Late(NOON.plus(Duration::from_secs(2)));
        assert_eq!(route.shares(response, &request, two_seconds_later), late, "{response:?}");
        assert_eq!(route.shares_confirmed(response, &request), waiting == Sharing::Shared, "{response:?}");
    }

    #[test]
    fn what_came_fresh_is_for_all_who_waited_and_for_who_comes_while_it_is() {
        check(&came("Cache-Control: max-age=60", 0, 0), Sharing::Shared, Sharing::Shared);
        check(&came("Cache-Control: max-age=60", 0, 57), Sharing::Shared, Sharing::Shared);
        check(&came("Cache-Control: max-age=60", 0, 58), Sharing::Shared, Sharing::Outlived);
        check(&came("Cache-Control: max-age=60", 0, 59), Sharing::Shared, Sharing::Outlived);
        // However long it took to come.
        check(&came("Cache-Control: max-age=1", 30, 0), Sharing::Shared, Sharing::Outlived);
    }

    #[test]
    fn what_came_stale_is_for_one() {
        check(&came("Cache-Control: max-age=60", 0, 60), Sharing::Alone, Sharing::Alone);
        check(&came("Cache-Control: max-age=60, must-revalidate", 30, 60), Sharing::Alone, Sharing::Alone);
        check(&came("Cache-Control: no-cache", 0, 0), Sharing::Alone, Sharing::Alone);
        check(&came("Cache-Control: max-age=0", 0, 0), Sharing::Alone, Sharing::Alone);
        check(&came("Cache-Control: max-age=60, stale-if-error=600", 0, 60), Sharing::Alone, Sharing::Alone);
    }

    #[test]
    fn what_may_be_served_stale_is_for_all() {
        let stale = "Cache-Control: max-age=1, stale-while-revalidate=600";
        check(&came(stale, 0, 0), Sharing::Shared, Sharing::Shared);
        check(&came(stale, 0, 500), Sharing::Shared, Sharing::Shared);
        check(&came(stale, 0, 600), Sharing::Shared, Sharing::Outlived);
        check(&came(stale, 0, 601), Sharing::Alone, Sharing::Alone);
        check(&came("Cache-Control: max-age=0, stale-while-revalidate=600", 0, 0), Sharing::Shared, Sharing::Shared);
        check(
            &came("Cache-Control: max-age=60, stale-while-revalidate=600, must-revalidate", 0, 60),
            Sharing::Alone,
            Sharing::Alone,
        );
    }

    #[test]
    fn who_wants_more_than_a_fresh_response_asks_for_itself_and_leaves_it_to_the_others() {
        let mut listening = origin_controlled();
        listening.honor_request_directives = true;
        let (route, fresh) = (route_with(listening), came("Cache-Control: max-age=60", 0, 0));
        let late = |text| route.shares(&fresh, &request(text), Joined::Late(NOON.plus(Duration::from_secs(2))));
        assert_eq!(late("GET / HTTP/1.1\nCache-Control: no-cache"), Sharing::Alone);
        assert_eq!(late("GET / HTTP/1.1"), Sharing::Shared);
    }

    #[test]
    fn what_has_a_lifetime_is_revalidated_once_for_all() {
        let route = route_with(origin_controlled());
        assert!(route.may_wait(&came("Cache-Control: max-age=60", 0, 100)));
        assert!(!route.may_wait(&came("Cache-Control: no-cache", 0, 0)));
        assert!(!route.may_wait(&came("Cache-Control: max-age=0", 0, 0)));
    }
}
