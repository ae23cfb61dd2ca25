//! The Host of a request: exactly one, well-formed, and the same wherever it is stated.

use std::net::{Ipv4Addr, Ipv6Addr};

use http::header::HOST;
use http::request::Parts;
use http::{HeaderValue, Method, Version};

use super::Refusal;
use crate::outcome::Reason;

/// Longest DNS name in text form, bytes (RFC 1035 § 2.3.4).
const NAME_BYTES: usize = 253;

/// Host of a request, for matching and as sent.
pub(super) struct Target {
    /// Lower case, without port, without trailing dot; IPv6 without brackets.
    pub(super) name: String,
    /// As sent.
    pub(super) authority: HeaderValue,
}

fn refuse<T>(detail: &'static str) -> Result<T, Refusal> {
    // What a front proxy took for the Host may differ from what we took: nothing more is believed of this connection.
    Err(Refusal::closing(Reason::InvalidHost, detail))
}

/// Finds and proves the Host of a request head (RFC 9112 § 3.2, RFC 9113 § 8.3.1).
pub(super) fn of(head: &Parts) -> Result<Target, Refusal> {
    let mut fields = head.headers.get_all(HOST).iter();
    let field = fields.next();
    if fields.next().is_some() {
        return refuse("Host is repeated");
    }
    let stated = match (field, stated_in_target(head)?) {
        (Some(field), Some(authority)) => {
            if !field.as_bytes().eq_ignore_ascii_case(authority.as_bytes()) {
                return refuse("Host differs from the authority of the request target");
            }
            field.clone()
        }
        (Some(field), None) => field.clone(),
        // An HTTP/1.1 request needs the field even in absolute form; HTTP/1.0 and HTTP/2 do not.
        (None, Some(authority)) if head.version != Version::HTTP_11 => authority,
        (None, _) if head.version <= Version::HTTP_10 => HeaderValue::from_static(""),
        (None, _) => return refuse("Host is missing"),
    };
    if stated.is_empty() && head.version <= Version::HTTP_10 {
        return Ok(Target { name: String::new(), authority: stated });
    }
    match stated.to_str().ok().and_then(parse) {
        Some(name) => Ok(Target { name, authority: stated }),
        None => refuse("Host is not a name or address with an optional port"),
    }
}

/// The authority in an absolute-form target, or HTTP/2's `:authority`.
fn stated_in_target(head: &Parts) -> Result<Option<HeaderValue>, Refusal> {
    let uri = &head.uri;
    if let Some(scheme) = uri.scheme_str()
        && !matches!(scheme, "http" | "https")
    {
        return Err(Refusal::closing(Reason::InvalidRequest, "the scheme of the request target is not http or https"));
    }
    let Some(authority) = uri.authority() else { return Ok(None) };
    // Authority form, `GET example.com`, belongs to CONNECT alone (RFC 9112 § 3.2.3).
    if uri.scheme().is_none() && uri.path_and_query().is_none() && head.method != Method::CONNECT {
        return Err(Refusal::closing(Reason::InvalidRequest, "the request target is not a path"));
    }
    match HeaderValue::from_str(authority.as_str()) {
        Ok(value) => Ok(Some(value)),
        Err(_) => refuse("the authority of the request target is malformed"),
    }
}

/// Name of `name[:port]`; `None` when malformed.
fn parse(authority: &str) -> Option<String> {
    let (host, port) = if authority.starts_with('[') {
        let end = authority.find(']')? + 1;
        authority.split_at(end)
    } else {
        let colon = authority.bytes().position(|byte| byte == b':');
        authority.split_at(colon.unwrap_or(authority.len()))
    };
    let valid_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    if !port.is_empty() && !port.strip_prefix(':').is_some_and(valid_port) {
        return None;
    }
    name(host)
}

/// The form of a host that hosts are compared in: lower case, without trailing dot, addresses in their shortest form
/// and without brackets. `None` when it is neither a DNS name nor an address.
pub(crate) fn name(host: &str) -> Option<String> {
    if let Some(literal) = host.strip_prefix('[') {
        let address: Ipv6Addr = literal.strip_suffix(']')?.parse().ok()?;
        return Some(address.to_string());
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = last_label(host.as_bytes()).filter(|_| host.len() <= NAME_BYTES)?;
    // `1.2.3` and `0x7f.1` are read as addresses by some and as names by others (WHATWG URL, "ends in a number").
    let numeric = last.iter().all(u8::is_ascii_digit) || last.starts_with(b"0x") || last.starts_with(b"0X");
    if numeric && host.parse::<Ipv4Addr>().is_err() {
        return None;
    }
    Some(host.to_ascii_lowercase())
}

/// The last label of a name, if it and all before it are labels. One pass over bytes: this is done for every request.
fn last_label(name: &[u8]) -> Option<&[u8]> {
    const LABEL_BYTES: usize = 63;
    let mut start = 0;
    for (at, &byte) in name.iter().enumerate() {
        match byte {
            b'.' if at > start && at - start <= LABEL_BYTES => start = at + 1,
            b'-' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {}
            _ => return None,
        }
    }
    let last = &name[start..];
    (!last.is_empty() && last.len() <= LABEL_BYTES).then_some(last)
}
