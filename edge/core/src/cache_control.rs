//! Cache-Control of a response (RFC 9111 § 5.2), parsed once when it is received.

use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName};

/// The directives that matter to a shared cache. Lifetimes in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheControl {
    /// `max-age`.
    pub max_age: Option<u64>,
    /// `s-maxage`.
    pub s_maxage: Option<u64>,
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
    /// `only-if-cached`, a request directive.
    pub only_if_cached: bool,
}

/// `delta-seconds` beyond this count as this (RFC 9111 § 1.2.2). Keeps every later sum far from overflow.
const DELTA_SECONDS_MAX: u64 = 1 << 31;

impl CacheControl {
    /// Reads all Cache-Control fields. Unknown directives are ignored; an unreadable lifetime counts as 0 (stale), and
    /// of repeated ones the first counts, as RFC 9111 § 4.2.1 permits.
    pub fn parse(headers: &HeaderMap) -> Self {
        let mut parsed = Self::default();
        for directive in directives(headers) {
            parsed.note(&directive);
        }
        parsed
    }

    /// Whether the origin says how long: `s-maxage` or `max-age`.
    pub fn names_lifetime(&self) -> bool {
        self.s_maxage.is_some() || self.max_age.is_some()
    }

    fn note(&mut self, directive: &Directive) {
        // `no-cache=""` names no field: the cautious reading is that all are meant.
        let unqualified = directive.argument.as_deref().is_none_or(<[u8]>::is_empty);
        match directive.name.as_slice() {
            b"max-age" => first(&mut self.max_age, directive),
            b"s-maxage" => first(&mut self.s_maxage, directive),
            b"no-store" => self.no_store = true,
            b"no-cache" => self.no_cache |= unqualified,
            b"private" => self.private |= unqualified,
            b"public" => self.public = true,
            b"must-revalidate" => self.must_revalidate = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            b"only-if-cached" => self.only_if_cached = true,
            _ => {}
        }
    }
}

fn first(lifetime: &mut Option<u64>, directive: &Directive) {
    if lifetime.is_none() {
        *lifetime = Some(directive.argument.as_deref().and_then(delta_seconds).unwrap_or(0));
    }
}

/// Field names in `no-cache="…"` and `private="…"`: they must not be served from a shared cache unasked (RFC 9111
/// § 5.2.2.4, § 5.2.2.7), so they are left out of what is stored.
pub(crate) fn withheld_fields(headers: &HeaderMap) -> Vec<HeaderName> {
    let mut names = Vec::new();
    for directive in directives(headers) {
        if matches!(directive.name.as_slice(), b"no-cache" | b"private") {
            let list = directive.argument.unwrap_or_default();
            names.extend(
                list.split(|&byte| byte == b',').filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()),
            );
        }
    }
    names
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
struct Directive {
    name: Vec<u8>,
    argument: Option<Vec<u8>>,
}

fn directives(headers: &HeaderMap) -> impl Iterator<Item = Directive> {
    headers.get_all(CACHE_CONTROL).into_iter().flat_map(|value| Reader { rest: value.as_bytes() })
}

/// Reads the directives of one field line. Never fails: what is not a directive is skipped up to the next comma.
struct Reader<'a> {
    rest: &'a [u8],
}

impl Iterator for Reader<'_> {
    type Item = Directive;

    fn next(&mut self) -> Option<Directive> {
        self.skip_while(|byte| matches!(byte, b',' | b' ' | b'\t'));
        if self.rest.is_empty() {
            return None;
        }
        let name = self.take_while(|byte| !matches!(byte, b',' | b'=')).trim_ascii().to_ascii_lowercase();
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
    fn argument(&mut self) -> Vec<u8> {
        if self.rest.first() != Some(&b'"') {
            return self.take_while(|byte| byte != b',').trim_ascii().to_vec();
        }
        self.rest = &self.rest[1..];
        let text = self.quoted();
        self.skip_while(|byte| byte != b',');
        text
    }

    /// The rest of a quoted string (RFC 9110 § 5.6.4); an unclosed one goes on to the end of the line.
    fn quoted(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        while let Some((&byte, rest)) = self.rest.split_first() {
            self.rest = rest;
            match (byte, rest.first()) {
                (b'"', _) => break,
                (b'\\', Some(&escaped)) => {
                    text.push(escaped);
                    self.rest = &rest[1..];
                }
                _ => text.push(byte),
            }
        }
        text
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
