//! Step 5, key: the identity of what a request asks for.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, USER_AGENT,
};
use http::{HeaderMap, HeaderName, Method};

use crate::plan::CachePolicy;
use crate::request::ViewerRequest;
use crate::route::Route;
use crate::selection;

/// Identity of a stored response: length-delimited bytes, so that no two different requests share one by accident.
/// Compared in full; a hash is never trusted alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheKey(Bytes);

impl CacheKey {
    /// A key of any bytes. Keys of requests come from [`Route::cache_key`].
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(bytes))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The key of one variant: this key, and the values that the named headers have in the request **as it goes to the
    /// origin** (RFC 9111 § 4.1), normalised where that cannot change what they mean. An absent header differs from an
    /// empty one.
    pub fn variant(&self, names: &[HeaderName], sent: &HeaderMap) -> Self {
        let mut key = Writer(Vec::with_capacity(self.0.len() + 64));
        key.0.extend_from_slice(&self.0);
        key.tag(Part::Variant);
        for name in names {
            key.selecting(name, sent);
        }
        key.finish()
    }
}

impl Route {
    /// The primary key: distribution, path, and what the cache policy names.
    pub fn cache_key(&self, request: &ViewerRequest) -> CacheKey {
        let policy = &self.behavior.cache_policy;
        let uid = &self.distribution.uid;
        let path = request.path();
        let query = selection::query(&policy.key_query_strings, request.query());
        let expected = uid.len() + path.len() + query.as_ref().map_or(0, |query| query.len()) + request.authority.len();
        let mut key = Writer(Vec::with_capacity(expected + 64));
        key.bytes(uid.as_bytes());
        key.bytes(path.as_bytes());
        // The root is an entry of its own, since its behaviour is chosen by the path asked for and may be another than
        // the root object's; and the object is named, so that another one counts at once.
        let object = self.effective_path(request);
        if object != path {
            key.tagged(Part::RootObject, object.as_bytes());
        }
        // GET and HEAD share an entry; a cached OPTIONS has its own.
        if request.method == Method::OPTIONS {
            key.tag(Part::Options);
        }
        if policy.key_scheme {
            key.tagged(Part::Scheme, request.scheme.as_str().as_bytes());
        }
        if policy.forward_host {
            key.tagged(Part::ForwardedHost, request.authority.as_bytes());
        } else if policy.key_host {
            key.tagged(Part::Host, &lower_case(request.authority.as_bytes()));
        }
        if let Some(query) = query {
            key.tagged(Part::Query, query.as_bytes());
        }
        for name in &policy.key_headers {
            if request.headers.contains_key(name) {
                key.tag(Part::Header);
                key.header(name, &request.headers);
            }
        }
        if let Some(cookies) = selection::cookies(&policy.key_cookies, &request.headers) {
            key.tagged(Part::Cookies, cookies.as_bytes());
        }
        match policy.accept_encoding(&request.headers) {
            // `identity` and no header at all share an entry (CloudFront: "not included in the cache key").
            None | Some("identity") => {}
            Some(encodings) => key.tagged(Part::AcceptEncoding, encodings.as_bytes()),
        }
        key.finish()
    }
}

impl CachePolicy {
    /// Whether Accept-Encoding is normalised.
    pub(crate) fn normalises_accept_encoding(&self) -> bool {
        self.accept_encoding_gzip || self.accept_encoding_brotli
    }

    /// Accept-Encoding as it takes part in the key and goes to the origin (CloudFront: "Cache compressed objects in
    /// different encodings"). `None`: not normalised, or the viewer sent none.
    pub(crate) fn accept_encoding(&self, headers: &HeaderMap) -> Option<&'static str> {
        if !self.normalises_accept_encoding() || !headers.contains_key(ACCEPT_ENCODING) {
            return None;
        }
        let (mut gzip, mut brotli) = (false, false);
        for value in headers.get_all(ACCEPT_ENCODING) {
            for member in value.as_bytes().split(|&byte| byte == b',') {
                let (coding, accepted) = accepts(member);
                gzip |= accepted && (coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip"));
                brotli |= accepted && coding.eq_ignore_ascii_case(b"br");
            }
        }
        Some(match (gzip && self.accept_encoding_gzip, brotli && self.accept_encoding_brotli) {
            (true, true) => "br,gzip",
            (true, false) => "gzip",
            (false, true) => "br",
            (false, false) => "identity",
        })
    }
}

/// One member of Accept-Encoding: the coding, and whether its weight is above zero (RFC 9110 § 12.5.3). Parameters other
/// than `q` do not exist there; a weight that cannot be read counts as none, so as accepted.
fn accepts(member: &[u8]) -> (&[u8], bool) {
    let mut parts = member.split(|&byte| byte == b';');
    let coding = parts.next().unwrap_or_default().trim_ascii();
    let refused = parts.any(|parameter| {
        let text = std::str::from_utf8(parameter.trim_ascii()).unwrap_or_default();
        let weight = text.split_once('=').filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
        weight.and_then(|(_, weight)| weight.trim().parse::<f32>().ok()).is_some_and(|weight| weight <= 0.0)
    });
    (coding, !refused)
}

fn lower_case(bytes: &[u8]) -> Cow<'_, [u8]> {
    if bytes.iter().any(u8::is_ascii_uppercase) { bytes.to_ascii_lowercase().into() } else { bytes.into() }
}

/// What a part of the key is. Written before it, so that no part can be taken for another.
#[derive(Clone, Copy)]
enum Part {
    Options = 1,
    Scheme = 2,
    Host = 3,
    ForwardedHost = 4,
    Query = 5,
    Header = 6,
    Cookies = 7,
    AcceptEncoding = 8,
    Variant = 9,
    RootObject = 10,
}

struct Writer(Vec<u8>);

impl Writer {
    /// In an allocation of exactly this size: keys are kept by the store.
    fn finish(self) -> CacheKey {
        CacheKey(Bytes::from(self.0.into_boxed_slice()))
    }

    fn tag(&mut self, part: Part) {
        self.0.push(part as u8);
    }

    fn number(&mut self, number: usize) {
        let number = u32::try_from(number).expect("a request head is bounded far below 4 GiB");
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    fn tagged(&mut self, part: Part, bytes: &[u8]) {
        self.tag(part);
        self.bytes(bytes);
    }

    /// Name, whether it is there, its normalised value. Lines of one list are one value, and space around the commas of a
    /// list means nothing.
    fn selecting(&mut self, name: &HeaderName, headers: &HeaderMap) {
        // In these a comma separates nothing, or might not.
        if [COOKIE, AUTHORIZATION, PROXY_AUTHORIZATION, USER_AGENT].contains(name) {
            return self.header(name, headers);
        }
        self.bytes(name.as_str().as_bytes());
        self.number(usize::from(headers.contains_key(name)));
        let mut members: Vec<Cow<'_, [u8]>> =
            headers.get_all(name).iter().flat_map(|value| list_members(value.as_bytes())).map(Cow::Borrowed).collect();
        if let Some(negotiation) = Negotiation::of(name) {
            negotiation.normalise(&mut members);
        }
        self.number(members.len());
        for member in members {
            self.bytes(&member);
        }
    }

    /// Name, number of values, values: an absent header has none, an empty one has one of length zero.
    fn header(&mut self, name: &HeaderName, headers: &HeaderMap) {
        self.bytes(name.as_str().as_bytes());
        self.number(headers.get_all(name).iter().count());
        for value in headers.get_all(name) {
            self.bytes(value.as_bytes());
        }
    }
}

/// Members of a list without the space around them; a comma within quotes is part of its member (RFC 9110 § 5.6.1).
fn list_members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    let separates = move |byte: &u8| {
        let separates = *byte == b',' && !quoted;
        quoted ^= *byte == b'"' && !escaped;
        escaped = quoted && *byte == b'\\' && !escaped;
        separates
    };
    value.split(separates).map(<[u8]>::trim_ascii)
}

/// Fields in which the order of the members says nothing: their weight does (RFC 9110 § 12.4.2).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Negotiation {
    /// Accept: a parameter of a media type may be sensitive to case.
    MediaTypes,
    /// Accept-Charset, Accept-Encoding, Accept-Language.
    Names,
}

impl Negotiation {
    fn of(name: &HeaderName) -> Option<Self> {
        match *name {
            ACCEPT => Some(Self::MediaTypes),
            ACCEPT_CHARSET | ACCEPT_ENCODING | ACCEPT_LANGUAGE => Some(Self::Names),
            _ => None,
        }
    }

    /// Without empty members and space, sorted, and in lower case where case does not matter.
    fn normalise(self, members: &mut Vec<Cow<'_, [u8]>>) {
        members.retain(|member| !member.is_empty());
        for member in members.iter_mut() {
            if self == Self::Names {
                let plain = member.iter().filter(|byte| !matches!(byte, b' ' | b'\t'));
                *member = plain.map(u8::to_ascii_lowercase).collect::<Vec<_>>().into();
            }
        }
        members.sort_unstable();
        members.dedup();
    }
}

#[cfg(test)]
mod tests;
