//! How long a response may be served without asking the origin.

use std::time::Duration;

use crate::entry::StoredResponse;
use crate::plan::CachePolicy;
use crate::timestamp::Timestamp;

impl CachePolicy {
    /// Freshness lifetime of a response under this policy (CloudFront: "Manage how long content stays in the cache",
    /// with the differences that the README lists; RFC 9111 § 4.2.1, § 4.2.2).
    pub fn lifetime(&self, response: &StoredResponse) -> Duration {
        let _ = response;
        todo!()
    }

    /// Whether it is fresh at `now`.
    pub fn is_fresh(&self, response: &StoredResponse, now: Timestamp) -> bool {
        self.lifetime(response) > response.age(now)
    }
}
