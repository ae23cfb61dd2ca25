//! `Cache-Status`: what this cache did with a request, said in a way that every tool understands (RFC 9211).

use http::{HeaderValue, StatusCode};

use crate::outcome::{NotStored, Reason, ResultType};

/// What is told of one answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Handling {
    /// Freshness that is left of what is served, in seconds; negative when it is stale. Absent where nothing that is
    /// stored is served.
    pub ttl: Option<i64>,
    /// Status with which the origin answered, where it is not the one that the viewer gets.
    pub forward_status: Option<StatusCode>,
    /// Whether the response is stored, or why not. Absent where there is none that could be.
    pub storage: Option<Result<(), NotStored>>,
}

/// The member that this cache adds.
pub fn value(reason: Reason, handling: &Handling) -> HeaderValue {
    let mut text = Text { bytes: [0; CAPACITY], length: 0 };
    text.push("proxima");
    match reason.forward() {
        Some(forward) => text.parameter("; fwd=", forward.as_str()),
        None if reason.result_type() == ResultType::Hit => text.push("; hit"),
        None => {}
    }
    if let Some(status) = handling.forward_status {
        text.parameter("; fwd-status=", status.as_str());
    }
    if reason == Reason::CollapsedHit {
        text.push("; collapsed");
    }
    if handling.storage == Some(Ok(())) {
        text.push("; stored");
    }
    if let Some(ttl) = handling.ttl {
        text.parameter("; ttl=", itoa::Buffer::new().format(ttl));
    }
    if let Some(detail) = detail(reason, handling) {
        text.parameter("; detail=", detail);
    }
    HeaderValue::from_bytes(&text.bytes[..text.length]).expect("names and numbers are characters of a field value")
}

/// A text that is being put together without an allocation.
struct Text {
    bytes: [u8; CAPACITY],
    length: usize,
}

/// Room for the longest member, with room to spare: 60 bytes of parameters, a number of 20 and two names.
const CAPACITY: usize = 192;

impl Text {
    fn push(&mut self, part: &str) {
        self.bytes[self.length..][..part.len()].copy_from_slice(part.as_bytes());
        self.length += part.len();
    }

    fn parameter(&mut self, name: &str, value: &str) {
        self.push(name);
        self.push(value);
    }
}

/// The name that says more than the parameters do: why nothing is stored, or why the request ended as it did.
fn detail(reason: Reason, handling: &Handling) -> Option<&'static str> {
    match (reason, handling.storage) {
        (Reason::Hit | Reason::RefreshHit, _) => None,
        (Reason::Miss | Reason::VariantMiss | Reason::Expired | Reason::CollapsedHit, storage) => {
            storage.and_then(Result::err).map(NotStored::as_str)
        }
        _ => Some(reason.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(reason: Reason, handling: Handling) -> String {
        value(reason, &handling).to_str().unwrap().to_owned()
    }

    #[test]
    fn says_what_was_served_and_how_long_it_is_fresh() {
        let served = |ttl| Handling { ttl: Some(ttl), ..Handling::default() };
        assert_eq!(text(Reason::Hit, served(59)), "proxima; hit; ttl=59");
        assert_eq!(text(Reason::StaleWhileRevalidate, served(-3)), "proxima; hit; ttl=-3; detail=StaleWhileRevalidate");
        assert_eq!(text(Reason::StaleIfError, served(-3)), "proxima; fwd=stale; ttl=-3; detail=StaleIfError");
    }

    #[test]
    fn says_why_the_origin_was_asked_and_what_was_stored() {
        let stored = Handling { ttl: Some(60), storage: Some(Ok(())), ..Handling::default() };
        assert_eq!(text(Reason::Miss, stored), "proxima; fwd=uri-miss; stored; ttl=60");
        assert_eq!(text(Reason::VariantMiss, stored), "proxima; fwd=vary-miss; stored; ttl=60");
        assert_eq!(text(Reason::CollapsedHit, stored), "proxima; fwd=miss; collapsed; stored; ttl=60");
        let refreshed = Handling { forward_status: Some(StatusCode::NOT_MODIFIED), ..stored };
        assert_eq!(text(Reason::RefreshHit, refreshed), "proxima; fwd=stale; fwd-status=304; stored; ttl=60");
        let private = Handling { storage: Some(Err(NotStored::Private)), ..Handling::default() };
        assert_eq!(text(Reason::Miss, private), "proxima; fwd=uri-miss; detail=Private");
        assert_eq!(text(Reason::MethodNotCached, private), "proxima; fwd=method; detail=MethodNotCached");
    }

    #[test]
    fn has_room_for_everything_at_once() {
        let storages = [None, Some(Ok(()))].into_iter().chain(NotStored::ALL.iter().map(|&why| Some(Err(why))));
        for storage in storages {
            for &reason in Reason::ALL {
                let handling = Handling { ttl: Some(i64::MIN), forward_status: Some(StatusCode::OK), storage };
                assert!(text(reason, handling).starts_with("proxima; "), "{reason:?} {storage:?}");
            }
        }
    }

    #[test]
    fn names_the_reason_of_every_refusal() {
        for &reason in Reason::ALL.iter().filter(|reason| reason.status().as_u16() >= 300) {
            let member = text(reason, Handling::default());
            assert!(member.ends_with(&format!("; detail={}", reason.as_str())), "{member}");
        }
    }
}
