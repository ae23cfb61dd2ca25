//! Outcomes of what never reached the service: heads that hyper or [`inspect`](super::inspect) refused, heads that did
//! not come to their end in time, and HTTP/2 connections that were ended for what the viewer sent.
//!
//! They get a line in the access log and are counted like every other request; what the viewer said is told as far as
//! it is known.

use std::rc::Rc;

use http::{Method, Request, StatusCode, Version};
use proxima_edge_core::framing::{Position, Violation};
use proxima_edge_core::outcome::Reason;

use super::Shared;
use super::inspect::Broken;
use super::phase::Phase;
use super::timeouts::Protocol;
use crate::log::Record;
use crate::metrics::Closed;
use crate::origin::chain;

/// A refusal as the log tells it.
struct Refused {
    reason: Reason,
    /// None when nothing was answered.
    status: Option<StatusCode>,
    detail: String,
}

/// Notes how a connection ended, if it ended in the middle of what should have become a request.
pub(super) fn note(shared: &Shared, protocol: Protocol, served: &hyper::Result<()>) {
    let broken = shared.phase.broken.borrow_mut().take();
    if let Some(broken) = &broken {
        shared.worker.edge.metrics.violation(broken.violation);
    }
    let Some(refused) = refused(&shared.phase, protocol, served, broken.as_ref()) else { return };
    let mut record = Record::begin(&shared.worker, &shared.facts, &unknown_head(protocol));
    record.fields.reason = refused.reason;
    record.fields.status = refused.status;
    if record.is_logged() {
        record.fields.detail = Some(refused.detail);
        let line = broken.map(|broken| broken.line).unwrap_or_default();
        let mut words = line.split(' ');
        if let Some(method) = words.next().and_then(|word| Method::from_bytes(word.as_bytes()).ok()) {
            record.fields.method = method;
        }
        record.fields.path = words.next().filter(|target| !target.is_empty()).unwrap_or(UNKNOWN).to_owned();
    }
}

fn refused(
    phase: &Rc<Phase>,
    protocol: Protocol,
    served: &hyper::Result<()>,
    broken: Option<&Broken>,
) -> Option<Refused> {
    if phase.ended() == Some(Closed::HeadTimeout) {
        let detail = "the request head was not complete in time".to_owned();
        return Some(Refused { reason: Reason::HeadTimeout, status: None, detail });
    }
    let error = served.as_ref().err()?;
    if protocol == Protocol::Http2 {
        // Streams are refused by frames of their own; this is about the whole connection.
        return is_refused(error).then(|| Refused {
            reason: Reason::InvalidRequest,
            status: None,
            detail: chain(error),
        });
    }
    if !error.is_parse() {
        return None;
    }
    Some(match broken.filter(|broken| broken.within != Position::Body) {
        Some(broken) => Refused {
            reason: reason(broken.violation),
            status: Some(StatusCode::BAD_REQUEST),
            detail: broken.violation.as_str().to_owned(),
        },
        None if error.is_parse_too_large() => Refused {
            reason: Reason::HeadTooLarge,
            status: Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
            detail: chain(error),
        },
        None => Refused { reason: Reason::InvalidRequest, status: Some(StatusCode::BAD_REQUEST), detail: chain(error) },
    })
}

/// Whether it was this side that ended an HTTP/2 connection.
fn is_refused(error: &hyper::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<h2::Error>() {
            return error.is_library() && !error.is_io();
        }
        source = cause.source();
    }
    false
}

/// What made the stream ambiguous is told from what is no request.
fn reason(violation: Violation) -> Reason {
    match violation {
        Violation::ControlCharacter
        | Violation::EmptyLines
        | Violation::RequestLine
        | Violation::Fragment
        | Violation::Version
        | Violation::FieldName => Reason::InvalidRequest,
        Violation::BareLineFeed
        | Violation::BareCarriageReturn
        | Violation::SpaceInFieldName
        | Violation::FoldedField
        | Violation::ContentLengthInvalid
        | Violation::ContentLengthRepeated
        | Violation::TransferEncodingInvalid
        | Violation::LengthAndCoding
        | Violation::ChunkSizeInvalid
        | Violation::ChunkSizeTooLarge
        | Violation::ChunkExtensionTooLong
        | Violation::ChunkEnd => Reason::InvalidFraming,
    }
}

/// Stands for what is not known, as in CloudFront's log.
const UNKNOWN: &str = "-";

fn unknown_head(protocol: Protocol) -> http::request::Parts {
    let (mut head, ()) = Request::new(()).into_parts();
    head.method = Method::from_bytes(UNKNOWN.as_bytes()).expect("a hyphen is a token");
    head.version = match protocol {
        Protocol::Http1 => Version::HTTP_11,
        Protocol::Http2 => Version::HTTP_2,
    };
    head
}
