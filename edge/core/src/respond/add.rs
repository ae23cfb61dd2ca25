//! Fields that every answer adds to what was stored or fetched, at little cost to a hit.
//!
//! A copy of a map has no room to spare, and finding a name in it takes a hash. So what is stored already has an empty
//! field for each, and an answer fills those in one walk over its copy.

use http::header::{AGE, CONTENT_LENGTH, HeaderName, VIA};
use http::{HeaderMap, HeaderValue};

use crate::limits;

/// A field that answers add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// What a cache says of what it kept; not added to what was just fetched.
    Age,
    /// The same.
    ContentLength,
    Via,
    CacheStatus,
    XCache,
    RequestId,
    Zone,
}

const MARKS: [Added; 5] = [Added::Via, Added::CacheStatus, Added::XCache, Added::RequestId, Added::Zone];
const ALL: [Added; limits::ADDED_HEADERS] = {
    let [via, cache_status, x_cache, request_id, zone] = MARKS;
    [Added::Age, Added::ContentLength, via, cache_status, x_cache, request_id, zone]
};

/// No field is sent with it.
pub(super) const PLACEHOLDER: HeaderValue = HeaderValue::from_static("");

impl Added {
    fn named(name: &HeaderName) -> Option<Self> {
        Some(match name.as_str() {
            "age" => Self::Age,
            "content-length" => Self::ContentLength,
            "via" => Self::Via,
            "cache-status" => Self::CacheStatus,
            "x-cache" => Self::XCache,
            "x-proxima-request-id" => Self::RequestId,
            "x-proxima-zone" => Self::Zone,
            _ => return None,
        })
    }

    fn name(self) -> HeaderName {
        match self {
            Self::Age => AGE,
            Self::ContentLength => CONTENT_LENGTH,
            Self::Via => VIA,
            Self::CacheStatus => HeaderName::from_static("cache-status"),
            Self::XCache => HeaderName::from_static("x-cache"),
            Self::RequestId => HeaderName::from_static("x-proxima-request-id"),
            Self::Zone => HeaderName::from_static("x-proxima-zone"),
        }
    }

    /// What others wrote stays in front of ours (RFC 9110 § 7.6.3, RFC 9211 § 2); other fields of these names are
    /// replaced.
    fn is_list(self) -> bool {
        matches!(self, Self::Via | Self::CacheStatus)
    }

    fn put(self, headers: &mut HeaderMap, value: HeaderValue) {
        if self.is_list() {
            headers.append(self.name(), value);
        } else {
            headers.insert(self.name(), value);
        }
    }
}

/// Puts placeholders into the head of a response that is about to be stored.
pub(crate) fn reserve(headers: &mut HeaderMap) {
    for field in ALL {
        if field.is_list() {
            headers.entry(field.name()).or_insert(PLACEHOLDER);
        } else {
            headers.insert(field.name(), PLACEHOLDER);
        }
    }
}

/// Takes the placeholders away again. What an origin sent under these names was replaced when they were made, but for
/// lists.
pub(crate) fn clear(headers: &mut HeaderMap) {
    for field in ALL {
        if !field.is_list() || headers.get(field.name()).is_some_and(HeaderValue::is_empty) {
            headers.remove(field.name());
        }
    }
}

/// Adds the marks, with these values.
pub(super) fn marks(headers: &mut HeaderMap, value: impl Fn(Added) -> HeaderValue) {
    for mark in MARKS {
        mark.put(headers, value(mark));
    }
}

/// Adds all of them, with these values, to a copy of what is stored.
pub(super) fn to_stored(headers: &mut HeaderMap, value: impl Fn(Added) -> HeaderValue) {
    let mut filled = [false; ALL.len()];
    for (name, place) in headers.iter_mut().filter(|(_, value)| value.is_empty()) {
        if let Some(field) = Added::named(name) {
            *place = value(field);
            filled[field as usize] = true;
        }
    }
    // A list that others began has no placeholder.
    for field in ALL.into_iter().filter(|&field| !filled[field as usize]) {
        field.put(headers, value(field));
    }
}
