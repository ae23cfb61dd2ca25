//! Bytes of an HTTP/1 connection: how they are cut never matters, and two readers never see different requests in them.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use proxima_edge_core::framing::{Framing, Position, Violation};
use proxima_edge_core::limits;
use proxima_edge_core::origin_request::Purpose;
use proxima_edge_core::request::ViewerRequest;

use crate::{input, path, site};

/// The first byte chooses where the rest is cut.
pub(crate) fn target(data: &[u8]) {
    let ([choice], stream) = input::choices::<1>(data);
    let whole = Followed::new(std::iter::once(stream));
    assert_eq!(Followed::new(stream.chunks(1)), whole, "byte by byte");
    assert_eq!(Followed::new(cut(stream, choice)), whole, "cut by {choice}");
    if whole.breach.is_none() {
        check_first_head(stream, choice);
    }
}

/// What was found in a stream; offsets count from its beginning.
#[derive(Debug, PartialEq, Eq)]
struct Followed {
    breach: Option<(Violation, usize, Position)>,
    position: Position,
    heads: u64,
    began: Option<usize>,
}

impl Followed {
    fn new<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut framing = Framing::new();
        let (mut offset, mut began) = (0, None);
        for piece in pieces {
            let followed = framing.follow(piece);
            began = framing.head_began().map(|at| offset + at).or(began);
            if let Err(breach) = followed {
                assert!(breach.at < piece.len(), "a breach is at a byte");
                assert!(framing.follow(b"G").is_err(), "nothing is followed after a breach");
                let breach = Some((breach.violation, offset + breach.at, breach.within));
                return Self { breach, position: framing.position(), heads: framing.heads(), began };
            }
            offset += piece.len();
        }
        Self { breach: None, position: framing.position(), heads: framing.heads(), began }
    }
}

/// Pieces of lengths that look random, short ones more often.
pub(crate) fn cut(stream: &[u8], choice: u8) -> impl Iterator<Item = &[u8]> {
    let mut state = u32::from(choice) * 2 + 1;
    let mut rest = stream;
    std::iter::from_fn(move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let length = (1 + (state >> 24) as usize % (1 << (state >> 16 & 7))).min(rest.len());
        let (piece, tail) = rest.split_at(length);
        rest = tail;
        (!piece.is_empty()).then_some(piece)
    })
}

/// The library that reads heads must see one exactly where the framing sees one.
fn check_first_head(stream: &[u8], choice: u8) {
    let mut fields = [httparse::EMPTY_HEADER; 2 * limits::HEADERS];
    let mut head = httparse::Request::new(&mut fields);
    let end = match head.parse(stream) {
        Ok(httparse::Status::Complete(end)) => end,
        Ok(httparse::Status::Partial) => {
            let position = Followed::new(std::iter::once(stream)).position;
            assert_ne!(position, Position::Body, "a body, and the library still reads the head");
            return;
        }
        // It is stricter here, and the connection ends.
        Err(_) => return,
    };
    let position = |end| Followed::new(std::iter::once(&stream[..end])).position;
    assert_eq!(position(end - 1), Position::Head, "the library's head ends too late");
    let body = match position(end) {
        Position::Body => true,
        Position::Between => false,
        Position::Head => panic_about("the library's head ends too early"),
    };
    if let Some(parts) = parts(&head)
        && let Ok(request) = input::read(parts, body)
    {
        assert_eq!(request.has_body, body, "the request says otherwise than its framing");
        check_request(&request, choice);
    }
}

fn parts(head: &httparse::Request<'_, '_>) -> Option<http::request::Parts> {
    let mut headers = HeaderMap::new();
    for field in &*head.headers {
        headers.append(HeaderName::from_bytes(field.name.as_bytes()).ok()?, HeaderValue::from_bytes(field.value).ok()?);
    }
    let version = if head.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    input::parts(head.method?.as_bytes(), head.path?.as_bytes(), version, headers)
}

/// What the rest of the line takes for granted.
pub(crate) fn check_request(request: &ViewerRequest, choice: u8) {
    assert!(!request.host.bytes().any(|byte| byte.is_ascii_uppercase()), "a host for matching is in lower case");
    assert!(request.headers.get_all(http::header::COOKIE).iter().count() <= 1, "cookies are joined");
    let asterisk = request.method == Method::OPTIONS && request.path() == "*";
    assert!(asterisk || !path::is_wrong(request.path()), "a path that origins could understand differently");
    let route = site::route(choice);
    if route.admit(request).is_ok() {
        route.cache_key(request);
        let asked = route.origin_request(request, Purpose::Pass);
        assert!(!asked.headers.contains_key(http::header::TRANSFER_ENCODING), "framing is forwarded");
        assert!(!asked.headers.contains_key(http::header::CONTENT_LENGTH), "framing is forwarded");
    }
}

#[allow(clippy::panic, reason = "a target fails by panicking")]
fn panic_about(what: &str) -> ! {
    panic!("{what}")
}
