//! Paths: what is let through means one thing to everybody, and how a path is written does not change what matches it.

use http::{HeaderMap, Method, Version};
use proxima_edge_core::limits;
use proxima_edge_core::outcome::Reason;
use proxima_edge_core::path_pattern::PathPattern;

use crate::input;

/// The first line is a pattern, the second a path.
pub(crate) fn target(data: &[u8]) {
    let (pattern, rest) = input::line(data);
    let (path, _) = input::line(rest);
    check_request(path);
    if let (Ok(pattern), Ok(path)) = (std::str::from_utf8(pattern), std::str::from_utf8(path)) {
        check_pattern(pattern, path);
    }
}

fn check_request(path: &[u8]) {
    let mut headers = HeaderMap::new();
    headers.insert(http::header::HOST, http::HeaderValue::from_static("shop.example"));
    let Some(head) = input::parts(b"GET", path, Version::HTTP_11, headers) else { return };
    assert_eq!(head.method, Method::GET);
    let (absolute, sent) = (head.uri.scheme().is_some(), head.uri.path().to_owned());
    match input::read(head, false) {
        Ok(request) => {
            assert!(!is_wrong(request.path()), "let through: {sent}");
            assert_eq!(request.path(), sent, "a path is not rewritten");
        }
        Err(refusal) if refusal.reason == Reason::InvalidPath => assert!(is_wrong(&sent), "refused: {sent}"),
        Err(_) => assert!(absolute || !sent.starts_with('/') || path.len() > limits::URI_BYTES || is_authority(path)),
    }
}

/// `GET example.com`: no path at all, though the type says `/`.
fn is_authority(path: &[u8]) -> bool {
    !path.starts_with(b"/")
}

/// Whether readers of this path may differ about what it names, or it is not one. Decodes all, then looks: the straight
/// way, which the core avoids.
pub(crate) fn is_wrong(path: &str) -> bool {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let escape = tail.get(..2).filter(|_| byte == b'%');
        let Some(digits) = escape else {
            if byte == b'%' || byte <= b' ' || byte >= 0x7f {
                return true;
            }
            decoded.push(byte);
            rest = tail;
            continue;
        };
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return true;
        }
        decoded.push(u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap());
        rest = &tail[2..];
    }
    let dots = |segment: &[u8]| segment == b"." || segment == b"..";
    decoded.iter().any(|byte| byte.is_ascii_control() || *byte == b'\\')
        || decoded.split(|&byte| byte == b'/').any(dots)
        || !path.starts_with('/')
}

fn check_pattern(text: &str, path: &str) {
    let Ok(pattern) = PathPattern::parse(text) else { return };
    assert_eq!(pattern.as_str(), text);
    let matches = pattern.matches(path);
    let again = |text: &str| PathPattern::parse(text).map(|pattern| pattern.matches(path));
    if !text.starts_with('/') && text.len() < limits::PATH_PATTERN_BYTES {
        assert_eq!(again(&format!("/{text}")), Ok(matches), "a leading slash is optional");
    }
    if matches && text.len() < limits::PATH_PATTERN_BYTES {
        assert_eq!(again(&format!("{text}*")), Ok(true), "a longer run matches what a shorter one does");
    }
    if path.starts_with('/') {
        assert_eq!(again("*"), Ok(true), "everything is matched by everything");
        assert_eq!(pattern.matches(&format!("/{path}")), matches, "an empty segment is none");
    }
    // A letter or digit, in the third place at the earliest so that it is not part of an escape cut in two.
    let plain = path.char_indices().find(|&(at, character)| {
        character.is_ascii_alphanumeric() && !path[..at].bytes().rev().take(2).any(|byte| byte == b'%')
    });
    if let Some((at, character)) = plain {
        let encoded = format!("{}%{:02x}{}", &path[..at], character as u8, &path[at + 1..]);
        assert_eq!(pattern.matches(&encoded), matches, "{encoded} means {path}");
    }
}
