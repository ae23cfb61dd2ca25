//! Step 9, the pure half: may this response be stored?

use http::{HeaderMap, StatusCode};

use crate::entry::StoredResponse;
use crate::origin_request::OriginRequest;
use crate::outcome::NotStored;
use crate::route::Route;
use crate::timestamp::Timestamp;

/// Head of an origin's response, as received, and when.
#[derive(Clone, Debug)]
pub struct OriginResponse {
    /// Status.
    pub status: StatusCode,
    /// Fields as received; hop-by-hop ones are already removed (see [`end_to_end`]).
    pub headers: HeaderMap,
    /// Length announced by Content-Length; `None` for chunked and close-delimited bodies.
    pub body_length: Option<u64>,
    /// When the request was sent.
    pub requested_at: Timestamp,
    /// When the head was received.
    pub received_at: Timestamp,
}

/// Removes what concerns one connection only: Connection and what it names, Keep-Alive, Proxy-*, TE, Trailer,
/// Transfer-Encoding, Upgrade (RFC 9110 § 7.6.1). Content-Length is removed too: whoever sends the message frames it.
pub fn end_to_end(headers: &mut HeaderMap) {
    let _ = headers;
    todo!()
}

impl Route {
    /// Judges a response. `epoch` was read before the request was sent. The length of the body, where unknown, is filled
    /// in when it is complete. `Err` names why it is not stored.
    pub fn storable(
        &self,
        request: &OriginRequest,
        response: &OriginResponse,
        epoch: u64,
    ) -> Result<StoredResponse, NotStored> {
        let _ = (request, response, epoch);
        todo!()
    }
}
