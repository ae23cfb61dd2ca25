//! Outcomes of what never reached the service: heads that hyper or [`inspect`](super::inspect) refused, heads that did
//! not come to their end in time, and HTTP/2 streams and connections that were ended for what the viewer sent.
//!
//! They get a line in the access log and are counted like every other request; what the viewer said is told as far as
//! it is known. Where there is an answer, it is ours.

use std::rc::Rc;

use http::{HeaderMap, Method, Request, StatusCode, Version, header};
use proxima_edge_core::cache_status::Handling;
use proxima_edge_core::framing::{Position, Violation};
use proxima_edge_core::outcome::Reason;
use proxima_edge_core::request::Refusal;
use proxima_edge_core::respond::{self, Answer};

use super::Shared;
use super::inspect::Broken;
use super::interim::head_bytes;
use super::phase::Phase;
use super::timeouts::Protocol;
use crate::log::Record;
use crate::metrics::Closed;
use crate::origin::chain;

/// What is known of a head that was refused.
struct Refused {
    reason: Reason,
    /// For the log.
    detail: String,
    /// Beginning of the request line; empty when it is not known.
    line: String,
}

impl Refused {
    fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), line: String::new() }
    }

    /// What the library answered with `status`, or what was seen before it.
    fn head(broken: Option<&Broken>, status: Option<StatusCode>) -> Self {
        match (broken.filter(|broken| broken.within != Position::Body), status) {
            (Some(broken), _) => {
                Self { line: broken.line.clone(), ..Self::new(reason(broken.violation), broken.violation.as_str()) }
            }
            (None, Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)) => {
                Self::new(Reason::HeadTooLarge, "the request head has too many fields or bytes")
            }
            (None, Some(StatusCode::URI_TOO_LONG)) => Self::new(Reason::UriTooLong, "the request target is too long"),
            // Of what the framing lets pass, hyper refuses nothing else.
            (None, _) => Self::new(Reason::InvalidRequest, "the request target is not one"),
        }
    }

    /// Begins its line in the log.
    fn record(&self, shared: &Shared, protocol: Protocol) -> Box<Record> {
        let mut record = Record::begin(&shared.worker, &shared.facts, &unknown_head(protocol));
        record.fields.reason = self.reason;
        let mut words = self.line.split(' ');
        if let Some(method) = words.next().and_then(|word| Method::from_bytes(word.as_bytes()).ok()) {
            record.fields.method = method;
        }
        if record.is_logged() {
            record.fields.detail = Some(self.detail.clone());
            record.fields.path = words.next().filter(|target| !target.is_empty()).unwrap_or(UNKNOWN).to_owned();
        }
        record
    }
}

/// The answer to a head that was refused, in place of hyper's own, with all that our refusals carry. It is the last of
/// its connection.
pub(super) fn answer(shared: &Shared, hypers: &[u8]) -> Vec<u8> {
    // `HTTP/1.1 400 Bad Request`.
    let status = hypers.get(9..12).and_then(|digits| StatusCode::from_bytes(digits).ok());
    let refused = Refused::head(shared.phase.broken.borrow().as_ref(), status);
    let mut record = refused.record(shared, Protocol::Http1);
    let refusal = Refusal::closing(refused.reason, explanation(refused.reason));
    let response = respond::refused(&refusal, &as_answer(shared, &record));
    let mut bytes = head_bytes(response.status(), response.headers());
    if record.fields.method != Method::HEAD {
        bytes.extend_from_slice(response.body());
        record.fields.body_bytes = response.body().len() as u64;
    }
    note_head(&mut record, response.status());
    if record.is_logged() {
        let content_type = response.headers().get(header::CONTENT_TYPE);
        record.fields.content_type = content_type.and_then(|value| value.to_str().ok()).map(str::to_owned);
    }
    bytes
}

/// Notes that the library answered a stream with 431; the fields that its answer lacks.
pub(super) fn too_large(shared: &Shared) -> HeaderMap {
    let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    let refused = Refused::head(None, Some(status));
    let mut record = refused.record(shared, Protocol::Http2);
    note_head(&mut record, status);
    let refusal = Refusal::new(refused.reason, explanation(refused.reason));
    respond::refused(&refusal, &as_answer(shared, &record)).into_parts().0.headers
}

/// Notes that the library reset a stream that the service was never given, with this code if it is known.
pub(super) fn stream(shared: &Shared, code: Option<u32>) {
    let refused = match code.map(h2::Reason::from) {
        Some(h2::Reason::REFUSED_STREAM) => Refused::new(Reason::TooManyStreams, "the stream was refused"),
        Some(code) => Refused::new(Reason::InvalidRequest, format!("the stream was reset: {code:?}")),
        None => Refused::new(Reason::InvalidRequest, "the stream was reset"),
    };
    drop(refused.record(shared, Protocol::Http2));
}

fn as_answer<'a>(shared: &'a Shared, record: &'a Record) -> Answer<'a> {
    let edge = &shared.worker.edge;
    Answer {
        identity: &edge.identity,
        request_id: record.request_id.as_str(),
        reason: record.fields.reason,
        handling: Handling::default(),
        now: edge.clock.now(),
    }
}

fn note_head(record: &mut Record, status: StatusCode) {
    record.fields.status = Some(status);
    record.fields.time_to_first_byte = Some(record.elapsed());
}

/// For the viewer: what was wrong, as far as that needs no words about bytes.
fn explanation(reason: Reason) -> &'static str {
    match reason {
        Reason::HeadTooLarge => "the request has too many header fields, or too many bytes of them",
        Reason::UriTooLong => "the request target is too long",
        Reason::InvalidFraming => "the request could be read in more than one way",
        _ => "the request is not valid HTTP",
    }
}

/// Notes how a connection ended, if it ended in the middle of what should have become a request, without an answer.
pub(super) fn note(shared: &Shared, protocol: Protocol, served: &hyper::Result<()>) {
    let broken = shared.phase.broken.borrow_mut().take();
    if let Some(broken) = &broken {
        shared.worker.edge.metrics.violation(broken.violation);
    }
    if let Some(refused) = unanswered(&shared.phase, protocol, served, broken.as_ref()) {
        drop(refused.record(shared, protocol));
    }
}

fn unanswered(
    phase: &Rc<Phase>,
    protocol: Protocol,
    served: &hyper::Result<()>,
    broken: Option<&Broken>,
) -> Option<Refused> {
    if phase.is_refused() {
        return None;
    }
    if phase.ended() == Some(Closed::HeadTimeout) {
        return Some(Refused::new(Reason::HeadTimeout, "the request head was not complete in time"));
    }
    let error = served.as_ref().err()?;
    match protocol {
        Protocol::Http1 => error.is_parse().then(|| Refused::head(broken, None)),
        // Streams are refused by frames of their own; this is about the whole connection.
        Protocol::Http2 => is_refused(error).then(|| Refused::new(Reason::InvalidRequest, chain(error))),
    }
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
