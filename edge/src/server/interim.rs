//! Interim responses (102, 103) from the origin to an HTTP/1.1 viewer, which hyper's server cannot send.
//!
//! [`interject`](super::interject) writes them beside hyper. What waits is thrown away as soon as the service has
//! answered. A waiting interim response is never worth a delay: there is a bound to what waits, and what is beyond it is
//! dropped.

use std::rc::Rc;
use std::task::Waker;

use super::phase::Phase;
use http::{HeaderMap, StatusCode, Version, header};
use proxima_edge_core::limits;
use proxima_edge_core::storable::end_to_end;

/// What waits to be written before a response.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// The request that may have interim responses, counted from 1; 0 for none.
    request: u64,
    pub(super) bytes: Vec<u8>,
    waker: Option<Waker>,
}

impl Waiting {
    /// Remembers whom to wake.
    pub(super) fn wake_with(&mut self, waker: &Waker) {
        if !self.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            self.waker = Some(waker.clone());
        }
    }
}

/// The way of one request's interim responses to its viewer. Does nothing where there is no such way.
#[derive(Clone, Debug, Default)]
pub struct Interim(Option<(Rc<Phase>, u64)>);

impl Interim {
    /// For the request that the service was given last. HTTP/1.0 has no interim responses (RFC 9110 § 15.2); HTTP/2
    /// viewers do not get any.
    pub(super) fn of_current(phase: &Rc<Phase>, version: Version) -> Self {
        if version != Version::HTTP_11 {
            return Self::default();
        }
        let request = phase.current();
        phase.interim.borrow_mut().request = request;
        Self(Some((Rc::clone(phase), request)))
    }

    /// No viewer who would want any.
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether anything that is sent can arrive.
    pub fn is_wanted(&self) -> bool {
        self.0.as_ref().is_some_and(|(phase, request)| phase.interim.borrow().request == *request)
    }

    /// Sends an interim response of an origin, if it is one that viewers get. Fields of the connection to the origin,
    /// and what an interim response cannot have, are left out.
    pub fn send(&self, status: StatusCode, mut fields: HeaderMap) {
        let Some((phase, request)) = &self.0 else { return };
        let mut waiting = phase.interim.borrow_mut();
        let known = matches!(status, StatusCode::PROCESSING | StatusCode::EARLY_HINTS);
        if waiting.request != *request || !known {
            return;
        }
        end_to_end(&mut fields);
        fields.remove(header::CONTENT_LENGTH);
        // Whether a viewer may get a cookie is decided for the response that is stored or not.
        fields.remove(header::SET_COOKIE);
        let head = head_bytes(status, &fields);
        if waiting.bytes.len() + head.len() > limits::INTERIM_BYTES {
            return;
        }
        waiting.bytes.extend_from_slice(&head);
        if let Some(waker) = waiting.waker.take() {
            waker.wake();
        }
    }

    /// The response is there: from now on nothing more may be written before it.
    pub(super) fn close(&self) {
        let Some((phase, request)) = &self.0 else { return };
        let mut waiting = phase.interim.borrow_mut();
        if waiting.request == *request {
            (waiting.request, waiting.waker) = (0, None);
            waiting.bytes.clear();
        }
    }
}

/// A head as HTTP/1.1 writes it, for what hyper does not write.
pub(super) fn head_bytes(status: StatusCode, fields: &HeaderMap) -> Vec<u8> {
    let line = format!("HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or_default());
    let mut bytes = line.into_bytes();
    for (name, value) in fields {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

#[cfg(test)]
mod tests;
