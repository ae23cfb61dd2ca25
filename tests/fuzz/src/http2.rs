//! HTTP/2: a head means what the same head means in HTTP/1.1, and how frames are cut never matters.

use http::header::{CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderName, TE, TRANSFER_ENCODING, UPGRADE, VIA};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Method, Request, Uri, Version};
use proxima_edge_core::framing::http2::{Frame, Frames, Unserved, literal};
use proxima_edge_core::limits;
use proxima_edge_core::origin_request::Purpose;
use proxima_edge_core::request::ViewerRequest;

use crate::{head, input, site};

/// The first byte chooses the route. Then a line for each of `:method`, `:scheme`, `:authority` and `:path`, in which `-`
/// stands for none, and fields.
pub(crate) fn target(data: &[u8]) {
    let ([choice], data) = input::choices::<1>(data);
    let Some(parts) = parts(data) else { return };
    let (method, sent, field) = (parts.method.clone(), parts.uri.clone(), parts.headers.get(HOST).cloned());
    // Of a path that begins with a fragment the library leaves nothing, for which HTTP/1.1 has no form.
    let alike = as_http1(&parts).filter(|_| !path_of(data).is_some_and(|path| path.starts_with(b"#")));
    let Ok(request) = input::read(parts, false) else {
        // HTTP/1.1 has one field more, and so reaches a limit sooner.
        assert!(alike.is_none_or(|alike| input::read(alike, false).is_err()), "refused, and not in HTTP/1.1");
        return;
    };
    assert!(!matches!(method, Method::CONNECT | Method::TRACE) && !request.has_body);
    assert!(request.headers.len() <= limits::HEADERS && request.headers.get_all(COOKIE).iter().count() <= 1);
    if let Some(authority) = sent.authority() {
        let stated = authority.as_str().as_bytes();
        assert!(request.authority.as_bytes().eq_ignore_ascii_case(stated), "the host is not :authority");
        assert!(field.is_none_or(|field| field.as_bytes().eq_ignore_ascii_case(stated)), "two hosts");
    }
    head::check_request(&request, choice);
    if let Some(alike) = alike.and_then(|alike| input::read(alike, false).ok()) {
        check_alike(&request, &alike, choice);
    }
}

/// One resource, however it is asked for.
fn check_alike(request: &ViewerRequest, alike: &ViewerRequest, choice: u8) {
    assert_eq!((&request.host, request.path(), request.query()), (&alike.host, alike.path(), alike.query()));
    let route = site::route(choice);
    assert_eq!(route.admit(request).is_ok(), route.admit(alike).is_ok());
    if route.admit(request).is_err() {
        return;
    }
    assert_eq!(route.uses_cache(request), route.uses_cache(alike));
    assert_eq!(route.cache_key(request), route.cache_key(alike), "two keys for one request");
    for purpose in [Purpose::Pass, Purpose::Fill] {
        let (mut asked, mut other) = (route.origin_request(request, purpose), route.origin_request(alike, purpose));
        assert_eq!((&asked.method, &asked.target, &asked.host), (&other.method, &other.target, &other.host));
        for headers in [&mut asked.headers, &mut other.headers] {
            headers.remove(VIA);
            headers.remove(HOST);
        }
        assert_eq!(asked.headers, other.headers, "the origin is asked for something else");
    }
}

/// What the library makes of a head; none where it resets the stream.
fn parts(data: &[u8]) -> Option<Parts> {
    let (method, data) = input::line(data);
    let (scheme, data) = pseudo(data);
    let (authority, data) = pseudo(data);
    let (path, data) = pseudo(data);
    let mut uri = http::uri::Parts::default();
    uri.authority = authority.map(Authority::try_from).transpose().ok()?;
    let scheme = Scheme::try_from(scheme?).ok()?;
    uri.scheme = uri.authority.is_some().then_some(scheme);
    uri.path_and_query = Some(PathAndQuery::try_from(path.filter(|path| !path.is_empty())?).ok()?);
    let (headers, _) = input::fields(data);
    let of_connection = [CONNECTION, TRANSFER_ENCODING, UPGRADE];
    let more = [HeaderName::from_static("keep-alive"), HeaderName::from_static("proxy-connection")];
    if of_connection.iter().chain(&more).any(|name| headers.contains_key(name))
        || headers.get_all(TE).iter().any(|value| value != "trailers")
        || headers.get_all(CONTENT_LENGTH).iter().any(|value| value != "0")
    {
        return None;
    }
    let mut parts = Request::new(()).into_parts().0;
    parts.method = Method::from_bytes(method).ok()?;
    parts.uri = Uri::from_parts(uri).ok()?;
    (parts.version, parts.headers) = (Version::HTTP_2, headers);
    Some(parts)
}

/// `:path` as it was sent.
fn path_of(data: &[u8]) -> Option<&[u8]> {
    let (_, data) = input::line(data);
    let (_, data) = pseudo(data);
    let (_, data) = pseudo(data);
    pseudo(data).0
}

fn pseudo(data: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let (line, rest) = input::line(data);
    ((line != b"-").then_some(line), rest)
}

/// The same head in HTTP/1.1, where it can be one: that has no scheme beside a path, and one host.
fn as_http1(parts: &Parts) -> Option<Parts> {
    if parts.uri.scheme_str().is_some_and(|scheme| scheme != "http" && scheme != "https") {
        return None;
    }
    let mut headers = parts.headers.clone();
    if let Some(authority) = parts.uri.authority() {
        let authority = HeaderValue::from_str(authority.as_str()).ok()?;
        let host = headers.entry(HOST).or_insert_with(|| authority.clone());
        if !host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()) {
            return None;
        }
    }
    let target = parts.uri.path_and_query()?.as_str();
    input::parts(parts.method.as_str().as_bytes(), target.as_bytes(), Version::HTTP_11, headers)
}

/// The first byte chooses where the rest is cut, which is what either side sends. Its frames are then streams that begin,
/// are given to the service, answered and reset.
pub(crate) fn frames(data: &[u8]) {
    let ([choice], stream) = input::choices::<1>(data);
    let whole = followed(std::iter::once(stream));
    assert_eq!(followed(stream.chunks(1)), whole, "byte by byte");
    assert_eq!(followed(head::cut(stream, choice)), whole, "cut by {choice}");
    let (mut unserved, mut begun, mut settled) = (Unserved::default(), 0, 0);
    for frame in whole {
        match frame {
            Frame::Headers { stream, length, .. } if length & 1 == 0 => {
                let known = unserved.has(stream);
                unserved.begins(stream);
                begun += usize::from(!known && unserved.has(stream));
            }
            Frame::Headers { stream, .. } => settled += usize::from(unserved.answered(stream)),
            Frame::Reset { stream, code } if code & 1 == 0 => unserved.reset(stream, code),
            Frame::Reset { .. } => {
                unserved.served();
                settled += unserved.rest().count();
            }
        }
        assert!(settled <= begun, "{settled} outcomes of {begun} streams");
    }
    assert!(settled + unserved.rest().count() <= begun);
    check_literal(stream);
}

fn followed<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Frame> {
    let (mut frames, mut found) = (Frames::written(), Vec::new());
    for piece in pieces {
        frames.follow(piece, |frame| found.push(frame));
    }
    found
}

/// A field takes its bytes and little more, and the next one begins behind it.
fn check_literal(value: &[u8]) {
    let mut block = Vec::new();
    literal(b"x", value, &mut block);
    assert!(block.starts_with(&[0, 1, b'x']) && block.ends_with(value));
    assert!((4..8).contains(&(block.len() - value.len())));
}
