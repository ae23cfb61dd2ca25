//! Step 10, the choice: what part of a representation a viewer gets.
//!
//! Joins [`crate::conditional`] and [`crate::range`] in the order of RFC 9110 § 13.2.2 for representations that are at
//! hand: stored ones, and those just fetched whole.

use http::header::{DATE, LAST_MODIFIED};
use http::{HeaderMap, Method, StatusCode};

use crate::conditional::{self, Validators, Verdict};
use crate::entry::StoredResponse;
use crate::range::{Excerpt, RangeSet, Resolved};
use crate::request::ViewerRequest;
use crate::storable::{OriginResponse, date_field};
use crate::timestamp::Timestamp;

/// What part of a representation answers a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// Nothing: the viewer has it. 304.
    NotModified,
    /// These bytes. 206.
    Excerpt(Excerpt),
    /// None of the bytes asked for are there; this is how many there are. 416.
    Unsatisfiable(u64),
}

impl Part {
    /// Of a representation that answers the request otherwise. Preconditions that only an origin may judge are taken to
    /// hold: [`crate::decide`] has seen to that.
    pub fn of(request: &ViewerRequest, representation: &Representation<'_>) -> Self {
        if !request.selects || !reads(&request.method) || !representation.status.is_success() {
            return Self::Whole;
        }
        let validators = representation.validators();
        match conditional::evaluate(&request.headers, &validators) {
            Verdict::NotModified => return Self::NotModified,
            Verdict::Proceed | Verdict::PreconditionFailed => {}
        }
        // Range is defined for GET alone (RFC 9110 § 14.2), and for what would be a 200.
        let ranges = match (representation.status, representation.length) {
            (StatusCode::OK, Some(length)) if request.method == Method::GET => {
                RangeSet::of(&request.headers).map(|set| (set, length))
            }
            _ => None,
        };
        match ranges {
            Some((set, length)) if conditional::range_applies(&request.headers, &validators) => {
                match set.resolve(length) {
                    Resolved::Whole => Self::Whole,
                    Resolved::Excerpt(excerpt) => Self::Excerpt(excerpt),
                    Resolved::Unsatisfiable => Self::Unsatisfiable(length),
                }
            }
            _ => Self::Whole,
        }
    }
}

/// What is known of a representation.
#[derive(Clone, Copy, Debug)]
pub struct Representation<'a> {
    status: StatusCode,
    headers: &'a HeaderMap,
    last_modified: Option<Timestamp>,
    date: Timestamp,
    /// Length of its body, where that is known.
    length: Option<u64>,
}

impl<'a> Representation<'a> {
    /// A stored one.
    pub fn stored(response: &'a StoredResponse) -> Self {
        Self::arriving(response, Some(response.body_length))
    }

    /// One that is being stored; the length of its body may not be known yet.
    pub fn arriving(response: &'a StoredResponse, length: Option<u64>) -> Self {
        let StoredResponse { status, headers, last_modified, date, .. } = response;
        Self { status: *status, headers, last_modified: *last_modified, date: *date, length }
    }

    /// One that goes to a single viewer. Its body comes once, so that it is sent whole or not at all.
    pub fn unstored(response: &'a OriginResponse) -> Self {
        let headers = &response.headers;
        Self {
            status: response.status,
            headers,
            last_modified: date_field(headers, &LAST_MODIFIED, response.received_at),
            date: date_field(headers, &DATE, response.received_at).unwrap_or(response.received_at),
            length: None,
        }
    }

    /// Whether a request has a precondition, for an origin to judge, that fails against this.
    pub(crate) fn fails(&self, request: &ViewerRequest) -> bool {
        request.selects
            && conditional::is_for_origin(&request.headers)
            && reads(&request.method)
            && self.status.is_success()
            && conditional::evaluate(&request.headers, &self.validators()) == Verdict::PreconditionFailed
    }

    fn validators(&self) -> Validators<'a> {
        Validators::new(self.headers, self.last_modified, self.date)
    }
}

/// Whether conditions mean anything to this method: they are about the representation that it would bring (RFC 9110
/// § 13.2.1; not so for OPTIONS).
pub(crate) fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

#[cfg(test)]
mod tests;
