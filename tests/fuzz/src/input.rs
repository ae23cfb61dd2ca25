//! Inputs as messages.

use std::net::SocketAddr;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};
use proxima_edge_core::request::{ConnectionFacts, Refusal, Scheme, ViewerRequest};

/// Takes the first `N` bytes; zeros stand in for missing ones.
pub(crate) fn choices<const N: usize>(data: &[u8]) -> ([u8; N], &[u8]) {
    let mut choices = [0; N];
    let here = N.min(data.len());
    choices[..here].copy_from_slice(&data[..here]);
    (choices, &data[here..])
}

/// Splits at the first line feed; the line is without it and a carriage return before it.
pub(crate) fn line(data: &[u8]) -> (&[u8], &[u8]) {
    let end = data.iter().position(|&byte| byte == b'\n');
    let (line, rest) = end.map_or((data, &[][..]), |end| (&data[..end], &data[end + 1..]));
    (line.strip_suffix(b"\r").unwrap_or(line), rest)
}

/// Header fields from lines, up to an empty one; lines that are not fields are left out. With what follows.
pub(crate) fn fields(mut data: &[u8]) -> (HeaderMap, &[u8]) {
    let mut headers = HeaderMap::new();
    while !data.is_empty() {
        let (field, rest) = line(data);
        data = rest;
        if field.is_empty() {
            break;
        }
        let Some(colon) = field.iter().position(|&byte| byte == b':') else { continue };
        let name = HeaderName::from_bytes(&field[..colon]);
        let value = HeaderValue::from_bytes(field[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    (headers, data)
}

/// A request head of HTTP/1.1 from `METHOD target` and field lines, with what follows it.
pub(crate) fn request(data: &[u8]) -> Option<(Parts, &[u8])> {
    let (first, rest) = line(data);
    let space = first.iter().position(|&byte| byte == b' ')?;
    let (headers, rest) = fields(rest);
    Some((parts(&first[..space], &first[space + 1..], Version::HTTP_11, headers)?, rest))
}

/// A request head. `None`: the types that every reader uses cannot hold it.
pub(crate) fn parts(method: &[u8], target: &[u8], version: Version, headers: HeaderMap) -> Option<Parts> {
    let mut head = Request::new(()).into_parts().0;
    head.method = Method::from_bytes(method).ok()?;
    head.uri = Uri::try_from(target).ok()?;
    (head.version, head.headers) = (version, headers);
    Some(head)
}

/// As a viewer over https sends it.
pub(crate) fn read(head: Parts, has_body: bool) -> Result<ViewerRequest, Refusal> {
    let connection = ConnectionFacts { peer: SocketAddr::from(([192, 0, 2, 7], 50_000)), scheme: Scheme::Https };
    ViewerRequest::read(&connection, head, has_body)
}

/// As [`read`], with a Host where there is none.
pub(crate) fn viewer(mut head: Parts) -> Option<ViewerRequest> {
    head.headers.entry(http::header::HOST).or_insert(HeaderValue::from_static("shop.example"));
    read(head, false).ok()
}
