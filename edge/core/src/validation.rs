//! Revalidation (RFC 9111 § 4.3): what to ask the origin about a stored response, and what its answer makes of it.

use http::header::{
    CONTENT_ENCODING, DATE, ETAG, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, SET_COOKIE,
};
use http::{HeaderValue, StatusCode};

use crate::edge_config::SetCookiePolicy;
use crate::entry::StoredResponse;
use crate::limits;
use crate::origin_request::OriginRequest;
use crate::outcome::NotStored;
use crate::respond;
use crate::route::Route;
use crate::storable::{self, OriginResponse};

/// Makes a request conditional on the stored response having changed: its entity tag, and its date of modification for
/// origins that do not know tags (RFC 9111 § 4.3.1). False: there is nothing to ask by.
pub fn make_conditional(request: &mut OriginRequest, stored: &StoredResponse) -> bool {
    if let Some(tag) = stored.headers.get(ETAG) {
        request.headers.insert(IF_NONE_MATCH, tag.clone());
    }
    if let Some(date) = stored.last_modified.and_then(|_| stored.headers.get(LAST_MODIFIED)) {
        request.headers.insert(IF_MODIFIED_SINCE, date.clone());
    }
    stored.has_validator()
}

/// What a 304 makes of the stored response.
#[derive(Debug)]
pub enum Confirmed {
    /// It is unchanged, with these fields from now on.
    Kept(Box<StoredResponse>),
    /// It is unchanged, and may be sent to the viewer who asked, with these fields, but to nobody else from now on.
    Unshared(Box<StoredResponse>, NotStored),
    /// The 304 speaks of another representation: the origin has to be asked without conditions.
    Other,
}

/// What the response to a HEAD makes of a stored response to GET.
#[derive(Debug)]
pub enum HeadVerdict {
    /// It is still the same, with these fields from now on.
    Kept(Box<StoredResponse>),
    /// It has changed, or may be kept no longer: forget it.
    Forgotten,
    /// It is not touched.
    Untouched,
}

impl Route {
    /// Judges a 304 to a request that [`make_conditional`] made (RFC 9111 § 4.3.3, § 4.3.4). `epoch` was read before
    /// that request.
    pub fn confirm(
        &self,
        stored: &StoredResponse,
        request: &OriginRequest,
        response: &OriginResponse,
        epoch: u64,
    ) -> Confirmed {
        if !is_about(response, stored) {
            return Confirmed::Other;
        }
        let updated = self.updated(stored, response, epoch);
        match self.keep(updated.clone(), self.unkeyed_credentials(&request.headers)) {
            // Another Vary means another key, which only a whole response is stored under. Fields that come with each
            // confirmation under new names must not add up for ever.
            Ok(kept) if kept.vary != stored.vary || has_too_many_fields(&kept) => Confirmed::Other,
            Ok(kept) => Confirmed::Kept(Box::new(kept)),
            Err(why) => {
                let own = self.with_own_cookies(&updated, response).unwrap_or(updated);
                Confirmed::Unshared(Box::new(with_room(own)), why)
            }
        }
    }

    /// What the viewer who asked gets instead of what a 304 has made of the stored response, if that is another: the
    /// cookies that it sets are his, as those of a 200 would be, and nobody else's.
    pub fn with_own_cookies(&self, kept: &StoredResponse, response: &OriginResponse) -> Option<StoredResponse> {
        let sets = response.headers.contains_key(SET_COOKIE);
        if !sets || self.behavior.cache_policy.set_cookie != SetCookiePolicy::Bypass {
            return None;
        }
        let mut own = kept.clone();
        for value in response.headers.get_all(SET_COOKIE) {
            own.headers.append(SET_COOKIE, value.clone());
        }
        Some(own)
    }

    /// Judges the response to a HEAD by what is stored for GET (RFC 9111 § 4.3.5). `epoch` was read before the request.
    pub fn updated_by_head(
        &self,
        stored: &StoredResponse,
        request: &OriginRequest,
        response: &OriginResponse,
        epoch: u64,
    ) -> HeadVerdict {
        if response.status != StatusCode::OK || stored.status != StatusCode::OK {
            return HeadVerdict::Untouched;
        }
        let unkeyed = self.unkeyed_credentials(&request.headers);
        let kept = self.keep(self.updated(stored, response, epoch), unkeyed);
        // What one viewer's credentials brought, and nobody else may have, says nothing of what the others get.
        if unkeyed.any() && kept.is_err() {
            return HeadVerdict::Untouched;
        }
        let length = response.body_length.is_none_or(|length| length == stored.body_length);
        let same = |name| response.headers.get(&name).is_none_or(|value| stored.headers.get(&name) == Some(value));
        if !length || ![ETAG, LAST_MODIFIED, CONTENT_ENCODING].into_iter().all(same) {
            return HeadVerdict::Forgotten;
        }
        match kept {
            Ok(kept) if kept.vary == stored.vary && !has_too_many_fields(&kept) => HeadVerdict::Kept(Box::new(kept)),
            Ok(_) | Err(_) => HeadVerdict::Forgotten,
        }
    }

    /// The stored response with the fields of a newer head (RFC 9111 § 3.2).
    fn updated(&self, stored: &StoredResponse, response: &OriginResponse, epoch: u64) -> StoredResponse {
        let mut headers = stored.headers.clone();
        respond::clear(&mut headers);
        // It dates the message, not the representation: without one, receipt dates it.
        headers.remove(DATE);
        let cookies = self.behavior.cache_policy.set_cookie == SetCookiePolicy::Store;
        let mut replaced: Option<&HeaderName> = None;
        for (name, value) in &response.headers {
            // A head without a body cannot change what the stored bytes are (RFC 9111 § 3.2: "necessary to ensure
            // integrity of the stored response"), nor the tag, by which the origin has just recognised them.
            let fixed = respond::OF_BYTES.contains(name) || *name == ETAG;
            if fixed || (*name == SET_COOKIE && !cookies) {
                continue;
            }
            // Values of one name come one after another.
            if replaced == Some(name) {
                headers.append(name, value.clone());
            } else {
                headers.insert(name, value.clone());
            }
            replaced = Some(name);
        }
        let whole = OriginResponse {
            status: stored.status,
            headers,
            body_length: Some(stored.body_length),
            requested_at: response.requested_at,
            received_at: response.received_at,
        };
        storable::read(&whole, epoch)
    }
}

fn has_too_many_fields(kept: &StoredResponse) -> bool {
    kept.headers.len() > limits::ORIGIN_HEADERS + limits::ADDED_HEADERS
}

/// Whether the 304 is about what is stored. A tag that differs means another representation (RFC 9111 § 4.3.4), unless
/// the tag was all that the origin was asked by: then it has recognised it, whatever it answers with. Without a tag in
/// both, so does a date of modification that differs.
fn is_about(response: &OriginResponse, stored: &StoredResponse) -> bool {
    let opaque = |tag: &HeaderValue| tag.as_bytes().strip_prefix(b"W/").unwrap_or(tag.as_bytes()).to_vec();
    match (stored.headers.get(ETAG), response.headers.get(ETAG)) {
        (Some(known), Some(sent)) => opaque(known) == opaque(sent) || stored.last_modified.is_none(),
        _ => {
            let sent = storable::date_field(&response.headers, &LAST_MODIFIED, response.received_at);
            stored.last_modified.is_none_or(|known| sent.is_none_or(|sent| sent == known))
        }
    }
}

/// With places for the fields that every answer adds.
fn with_room(mut response: StoredResponse) -> StoredResponse {
    response.headers.insert(DATE, storable::date_value(response.date));
    respond::reserve(&mut response.headers);
    response
}

#[cfg(test)]
mod tests;
