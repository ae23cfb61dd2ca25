//! Step 7, decide: answer from the cache, or ask the origin?

use crate::entry::StoredResponse;
use crate::outcome::Reason;
use crate::request::{Refusal, ViewerRequest};
use crate::route::Route;
use crate::timestamp::Timestamp;

/// What to do with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The stored response is fresh: send it.
    Serve,
    /// Fetch, let others who ask the same wait for it, and store it if it may be stored. `Miss` or `Expired`.
    Fetch(Reason),
    /// Pass it to the origin on its own; nothing is stored and nobody waits.
    Bypass(Reason),
    /// Answer without the origin.
    Refuse(Refusal),
}

impl Route {
    /// Whether this request can be answered from the cache or by a shared fetch at all; else the reason to pass it
    /// through. Asked before the lookup, which is skipped for requests that cannot use it.
    pub fn uses_cache(&self, request: &ViewerRequest) -> Result<(), Reason> {
        let _ = request;
        todo!()
    }

    /// Judges what the lookup found.
    pub fn decide(&self, found: Option<&StoredResponse>, request: &ViewerRequest, now: Timestamp) -> Decision {
        let _ = (found, request, now);
        todo!()
    }
}
