//! Cache directives of a message, parsed once when it is received: Cache-Control (RFC 9111 § 5.2), or the field that an
//! origin addresses to a CDN alone (RFC 9213).

use std::borrow::Cow;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderName, StatusCode};

use crate::respond;
use crate::structured_field::{self, Item};

/// The directives that matter to a shared cache. Lifetimes in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheControl {
    /// `max-age`.
    pub max_age: Option<u64>,
    /// `s-maxage`.
    pub s_maxage: Option<u64>,
    /// `stale-while-revalidate` (RFC 5861 § 3).
    pub stale_while_revalidate: Option<u64>,
    /// `stale-if-error` (RFC 5861 § 4).
    pub stale_if_error: Option<u64>,
    /// `no-store`.
    pub no_store: bool,
    /// `no-cache` without field names.
    pub no_cache: bool,
    /// `private` without field names.
    pub private: bool,
    /// `public`.
    pub public: bool,
    /// `must-revalidate`.
    pub must_revalidate: bool,
    /// `proxy-revalidate`.
    pub proxy_revalidate: bool,
    /// `must-understand`.
    pub must_understand: bool,
    /// `immutable` (RFC 8246).
    pub immutable: bool,
    /// They stood in a field addressed to CDNs, so that Cache-Control and Expires do not count (RFC 9213 § 2.2).
    pub targeted: bool,
    /// `only-if-cached`, a request directive.
    pub only_if_cached: bool,
    /// `min-fresh`, a request directive.
    pub min_fresh: Option<u64>,
    /// `max-stale`, a request directive; without a number any staleness, the greatest there is.
    pub max_stale: Option<u64>,
}

/// `delta-seconds` beyond this count as this (RFC 9111 § 1.2.2). Keeps every later sum far from overflow.
const DELTA_SECONDS_MAX: u64 = 1 << 31;

/// Fields for CDNs, the more specific one first (RFC 9213 § 2.2).
const TARGETED: [HeaderName; 2] =
    [HeaderName::from_static("proxima-cdn-cache-control"), HeaderName::from_static("cdn-cache-control")];

impl CacheControl {
    /// Reads all Cache-Control fields. Unknown directives are ignored; an unreadable lifetime counts as 0 (stale), and
    /// of repeated ones the first counts, as RFC 9111 § 4.2.1 permits.
    pub fn parse(headers: &HeaderMap) -> Self {
        Self::gather(plain(headers))
    }

    /// What counts for this cache: the first targeted field that is valid and not empty, else Cache-Control.
    pub fn of_response(headers: &HeaderMap) -> Self {
        match targeted(headers) {
            Some(directives) => Self { targeted: true, ..Self::gather(directives.into_iter()) },
            None => Self::parse(headers),
        }
    }

    /// Whether `no-store` counts: `must-understand` lifts it for a status that is understood (RFC 9111 § 5.2.2.3).
    pub fn forbids_storing(&self, status: StatusCode) -> bool {
        self.no_store && !(self.must_understand && is_understood(status))
    }

    /// Whether the origin says how long: `s-maxage` or `max-age`.
    pub fn names_lifetime(&self) -> bool {
        self.s_maxage.is_some() || self.max_age.is_some()
    }

    fn gather<'a>(directives: impl Iterator<Item = Directive<'a>>) -> Self {
        let mut parsed = Self::default();
        directives.for_each(|directive| parsed.note(&directive));
        parsed
    }

    fn note(&mut self, directive: &Directive<'_>) {
        // `no-cache=""` names no field: the cautious reading is that all are meant. So are they where the body would mean
        // something else without a field that is named.
        let unqualified = || directive.fields().any(|name| is_inseparable(&name)) || directive.names_nothing();
        match &*directive.name {
            b"max-age" => first(&mut self.max_age, directive),
            b"s-maxage" => first(&mut self.s_maxage, directive),
            b"stale-while-revalidate" => first(&mut self.stale_while_revalidate, directive),
            b"stale-if-error" => first(&mut self.stale_if_error, directive),
            b"min-fresh" => first(&mut self.min_fresh, directive),
            b"max-stale" if directive.argument.is_none() => {
                self.max_stale.get_or_insert(DELTA_SECONDS_MAX);
            }
            b"max-stale" => first(&mut self.max_stale, directive),
            b"no-store" => self.no_store = true,
            b"no-cache" => self.no_cache |= unqualified(),
            b"private" => self.private |= unqualified(),
            b"public" => self.public = true,
            b"must-revalidate" => self.must_revalidate = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            b"must-understand" => self.must_understand = true,
            b"immutable" => self.immutable = true,
            b"only-if-cached" => self.only_if_cached = true,
            _ => {}
        }
    }
}

/// Whether this cache knows what a status asks of caches (RFC 9111 § 3): those of RFC 9110 that can be stored whole.
pub(crate) fn is_understood(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200..=205 | 300..=303 | 305 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 500..=505)
}

/// Of repeated ones the first counts; one that cannot be read counts as 0.
fn first(seconds: &mut Option<u64>, directive: &Directive<'_>) {
    if seconds.is_none() {
        *seconds = Some(directive.argument.as_deref().and_then(delta_seconds).unwrap_or(0));
    }
}

/// Field names in `no-cache="…"` and `private="…"`: they must not be served from a shared cache unasked (RFC 9111
/// § 5.2.2.4, § 5.2.2.7), so they are left out of what is stored.
pub(crate) fn withheld_fields(headers: &HeaderMap) -> Vec<HeaderName> {
    match targeted(headers) {
        Some(directives) => withheld(directives.into_iter()),
        None => withheld(plain(headers)),
    }
}

fn withheld<'a>(directives: impl Iterator<Item = Directive<'a>>) -> Vec<HeaderName> {
    let mut names = Vec::new();
    for directive in directives.filter(|directive| matches!(&*directive.name, b"no-cache" | b"private")) {
        names.extend(directive.fields().filter(|name| !is_inseparable(name)));
    }
    names
}

/// Whether a body without this field would be taken for another, so that both are kept or neither.
fn is_inseparable(name: &HeaderName) -> bool {
    respond::OF_BYTES.contains(name) || [CONTENT_TYPE, VARY].contains(name)
}

/// Members of the first targeted field that is a dictionary with members (RFC 9213 § 2.1): what cannot be parsed is as
/// if it were absent.
fn targeted(headers: &HeaderMap) -> Option<Vec<Directive<'static>>> {
    TARGETED.iter().filter(|name| headers.contains_key(*name)).find_map(|name| {
        let members = structured_field::dictionary(headers.get_all(name).into_iter().map(|value| value.as_bytes()))?;
        (!members.is_empty()).then(|| members.into_iter().filter_map(directive).collect())
    })
}

/// A member as a directive: `true` is one without argument, `false` one that is not given. Lifetimes have to be
/// integers; of another type they are as unreadable as in Cache-Control.
fn directive((name, item): (String, Item)) -> Option<Directive<'static>> {
    let argument = match item {
        Item::Boolean(true) => None,
        Item::Boolean(false) => return None,
        Item::Integer(number) => Some(number.to_string().into_bytes()),
        // A string names fields; as a lifetime it does not count, though its text may look like one.
        Item::String(text) if matches!(name.as_str(), "no-cache" | "private") => Some(text.into_bytes()),
        Item::Token(text) if matches!(name.as_str(), "no-cache" | "private") => Some(text.into_bytes()),
        Item::String(_) | Item::Token(_) | Item::Other => Some(b"?".to_vec()),
    };
    Some(Directive { name: name.into_bytes().into(), argument: argument.map(Cow::Owned) })
}

/// A non-negative integer of seconds (RFC 9111 § 1.2.2), cut at 2³¹.
pub(crate) fn delta_seconds(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |sum: u64, digit: &u8| (sum * 10 + u64::from(digit - b'0')).min(DELTA_SECONDS_MAX);
    Some(text.iter().fold(0, add))
}

/// One directive: name in lower case; argument without quotes.
struct Directive<'a> {
    name: Cow<'a, [u8]>,
    argument: Option<Cow<'a, [u8]>>,
}

impl Directive<'_> {
    /// The argument as a list of field names.
    fn fields(&self) -> impl Iterator<Item = HeaderName> {
        let list = self.argument.as_deref().unwrap_or_default();
        list.split(|&byte| byte == b',').filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
    }

    fn names_nothing(&self) -> bool {
        self.argument.as_deref().is_none_or(<[u8]>::is_empty)
    }
}

fn plain(headers: &HeaderMap) -> impl Iterator<Item = Directive<'_>> {
    headers.get_all(CACHE_CONTROL).into_iter().flat_map(|value| Reader { rest: value.as_bytes() })
}

/// Reads the directives of one field line. Never fails: what is not a directive is skipped up to the next comma.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Reader<'a> {
    type Item = Directive<'a>;

    fn next(&mut self) -> Option<Directive<'a>> {
        self.skip_while(|byte| matches!(byte, b',' | b' ' | b'\t'));
        if self.rest.is_empty() {
            return None;
        }
        let name = self.take_while(|byte| !matches!(byte, b',' | b'=')).trim_ascii();
        let name = if name.iter().any(u8::is_ascii_uppercase) { name.to_ascii_lowercase().into() } else { name.into() };
        let argument = if self.rest.first() == Some(&b'=') {
            self.rest = &self.rest[1..];
            Some(self.argument())
        } else {
            None
        };
        Some(Directive { name, argument })
    }
}

impl<'a> Reader<'a> {
    fn argument(&mut self) -> Cow<'a, [u8]> {
        if self.rest.first() != Some(&b'"') {
            return self.take_while(|byte| byte != b',').trim_ascii().into();
        }
        self.rest = &self.rest[1..];
        let behind = self.rest;
        let text = self.quoted().unwrap_or_else(|| {
            // It must hide no directive behind it, nor how far it was meant to go: it says nothing.
            self.rest = behind;
            Vec::new()
        });
        self.skip_while(|byte| byte != b',');
        text.into()
    }

    /// The rest of a quoted string (RFC 9110 § 5.6.4). `None`: it is not closed on this line.
    fn quoted(&mut self) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        while let Some((&byte, rest)) = self.rest.split_first() {
            self.rest = rest;
            match (byte, rest.first()) {
                (b'"', _) => return Some(text),
                (b'\\', Some(&escaped)) => {
                    text.push(escaped);
                    self.rest = &rest[1..];
                }
                _ => text.push(byte),
            }
        }
        None
    }

    fn take_while(&mut self, keep: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|&byte| !keep(byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn skip_while(&mut self, skip: impl Fn(u8) -> bool) {
        self.take_while(skip);
    }
}

#[cfg(test)]
mod tests;
