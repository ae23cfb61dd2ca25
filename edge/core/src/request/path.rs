//! The path of a request: nothing in it that cache and origin could understand differently.

use http::Method;
use http::request::Parts;

use super::Refusal;
use crate::outcome::Reason;
use crate::path_pattern::decode;

/// Proves the path of a request head.
pub(super) fn check(head: &Parts) -> Result<(), Refusal> {
    let path = head.uri.path();
    if path == "*" {
        return if head.method == Method::OPTIONS {
            Ok(())
        } else {
            Err(Refusal::new(Reason::InvalidRequest, "the request target * is for OPTIONS"))
        };
    }
    if !path.starts_with('/') {
        return Err(Refusal::new(Reason::InvalidRequest, "the request target is not a path"));
    }
    match problem(path) {
        Some(detail) => Err(Refusal::new(Reason::InvalidPath, detail)),
        None => Ok(()),
    }
}

/// What is wrong with a raw path. Dot segments, also encoded ones, between encoded slashes, and with parameters (`..;a`),
/// which some servers take off before they resolve them; backslashes, which some servers take for slashes; controls;
/// percent signs that encode nothing.
pub(crate) fn problem(path: &str) -> Option<&'static str> {
    let mut rest = path.as_bytes();
    let mut segment = Segment::default();
    while let Some((&byte, tail)) = rest.split_first() {
        let (meant, next) = if byte == b'%' {
            let Some(decoded) = decode(tail) else { return Some("a percent sign in the path encodes nothing") };
            (decoded, &tail[2..])
        } else {
            if !byte.is_ascii() || byte == b' ' {
                return Some("the path has characters that must be encoded");
            }
            (byte, tail)
        };
        if meant.is_ascii_control() {
            return Some("the path has control characters");
        }
        if meant == b'\\' {
            return Some("the path has a backslash");
        }
        if meant == b'/' {
            if segment.is_dots() {
                return Some("the path has a dot segment");
            }
            segment = Segment::default();
        } else {
            segment.note(meant);
        }
        rest = next;
    }
    segment.is_dots().then_some("the path has a dot segment")
}

/// What is remembered of the segment being read, decoded and without its parameters (RFC 3986 § 3.3).
#[derive(Default)]
struct Segment {
    length: usize,
    dots: usize,
    has_parameters: bool,
}

impl Segment {
    fn note(&mut self, byte: u8) {
        self.has_parameters |= byte == b';';
        if !self.has_parameters {
            self.length += 1;
            self.dots += usize::from(byte == b'.');
        }
    }

    fn is_dots(&self) -> bool {
        self.length == self.dots && matches!(self.length, 1 | 2)
    }
}
