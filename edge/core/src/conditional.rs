//! Preconditions of a request against what a representation is known by (RFC 9110 § 13, RFC 9111 § 4.3.2).
//!
//! Compares validators and nothing else: which methods and statuses have conditions at all is [`crate::part`]'s business,
//! and what follows from a failed precondition is [`crate::decide`]'s.

use http::HeaderMap;
use http::header::{
    ETAG, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};

use crate::timestamp::Timestamp;

/// What the preconditions of a request come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Answer as if there were none.
    Proceed,
    /// The viewer has this representation already: 304.
    NotModified,
    /// If-Match or If-Unmodified-Since does not hold. Only an origin may say 412: they "are not applicable to a cache"
    /// (RFC 9111 § 4.3.2), whose copy need not be what the origin has.
    PreconditionFailed,
}

/// What a representation is compared by.
#[derive(Clone, Copy, Debug)]
pub struct Validators<'a> {
    etag: Option<EntityTag<'a>>,
    last_modified: Option<Timestamp>,
    date: Timestamp,
}

impl<'a> Validators<'a> {
    /// Those of a response with these fields; the dates are already read. Two ETags identify nothing.
    pub fn new(headers: &'a HeaderMap, last_modified: Option<Timestamp>, date: Timestamp) -> Self {
        let etag = only(headers, &ETAG).filter(|value| !value.is_empty()).map(EntityTag::read);
        Self { etag, last_modified: last_modified.map(whole_seconds), date: whole_seconds(date) }
    }

    /// Last-Modified identifies a representation only if that cannot have changed twice in the second it names: the
    /// response was made at least a second later (RFC 9110 § 8.8.2.2).
    fn strong_date(&self) -> Option<Timestamp> {
        self.last_modified.filter(|&modified| modified < self.date)
    }
}

/// Fields that make a request conditional (RFC 9110 § 13.1).
pub(crate) const CONDITIONS: [HeaderName; 5] =
    [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE];

/// Whether a request has any field that could make its answer something else than the whole representation.
pub(crate) fn concerns(headers: &HeaderMap) -> bool {
    // Without Range, If-Range means nothing.
    let named = |name: &HeaderName| match name.as_str().as_bytes() {
        [b'i', b'f', b'-', ..] => *name != IF_RANGE && CONDITIONS.contains(name),
        [b'r', b'a', ..] => *name == RANGE,
        _ => false,
    };
    headers.keys().any(named)
}

/// Whether a request has a condition that only an origin may find to have failed.
pub(crate) fn is_for_origin(headers: &HeaderMap) -> bool {
    headers.contains_key(IF_MATCH) || headers.contains_key(IF_UNMODIFIED_SINCE)
}

/// Evaluates the preconditions of a GET or HEAD in the order of RFC 9110 § 13.2.2, steps 1 to 4.
pub fn evaluate(headers: &HeaderMap, validators: &Validators<'_>) -> Verdict {
    if headers.contains_key(IF_MATCH) {
        if !matches_any(headers, &IF_MATCH, validators, Comparison::Strong) {
            return Verdict::PreconditionFailed;
        }
    } else if let (Some(limit), Some(modified)) =
        (date(headers, &IF_UNMODIFIED_SINCE, validators), validators.last_modified)
        && modified > limit
    {
        return Verdict::PreconditionFailed;
    }
    if headers.contains_key(IF_NONE_MATCH) {
        if matches_any(headers, &IF_NONE_MATCH, validators, Comparison::Weak) {
            return Verdict::NotModified;
        }
    } else if let Some(limit) = date(headers, &IF_MODIFIED_SINCE, validators) {
        // A cache that knows no date of modification takes that of the response (RFC 9111 § 4.3.2).
        if validators.last_modified.unwrap_or(validators.date) <= limit {
            return Verdict::NotModified;
        }
    }
    Verdict::Proceed
}

/// Step 5 of RFC 9110 § 13.2.2: whether Range is to be followed, as far as If-Range has a say in it (§ 13.1.5).
pub fn range_applies(headers: &HeaderMap, validators: &Validators<'_>) -> bool {
    if !headers.contains_key(IF_RANGE) {
        return true;
    }
    let Some(value) = only(headers, &IF_RANGE) else { return false };
    // A quote among the first three bytes tells tags from dates.
    if value.iter().take(3).any(|&byte| byte == b'"') {
        return validators.etag.is_some_and(|etag| etag.equals(EntityTag::read(value), Comparison::Strong));
    }
    let named = read_date(value, validators);
    named.is_some() && named == validators.strong_date()
}

/// An entity tag (RFC 9110 § 8.8.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct EntityTag<'a> {
    /// With its quotes.
    opaque: &'a [u8],
    weak: bool,
}

impl<'a> EntityTag<'a> {
    /// Some origins forget the quotes. What is not a tag is itself and nothing else, and never identifies byte by byte.
    fn read(text: &'a [u8]) -> Self {
        let (weak, opaque) = match text.strip_prefix(b"W/") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        match opaque {
            [b'"', inner @ .., b'"'] if !inner.contains(&b'"') => Self { opaque, weak },
            _ => Self { opaque: text, weak: true },
        }
    }

    fn equals(self, other: EntityTag<'_>, comparison: Comparison) -> bool {
        let weak = self.weak || other.weak;
        self.opaque == other.opaque && (comparison == Comparison::Weak || !weak)
    }
}

/// How entity tags are compared (RFC 9110 § 8.8.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    /// Byte by byte the same.
    Strong,
    /// As good as the same.
    Weak,
}

/// Whether a list of entity tags has one that equals the representation's. `*` stands for any that exists.
fn matches_any(headers: &HeaderMap, name: &HeaderName, validators: &Validators<'_>, comparison: Comparison) -> bool {
    if only(headers, name) == Some(b"*") {
        return true;
    }
    let Some(etag) = validators.etag else { return false };
    let mut members = headers.get_all(name).into_iter().flat_map(|value| Members { rest: value.as_bytes() });
    members.any(|member| EntityTag::read(member).equals(etag, comparison))
}

/// Members of a list of entity tags, which may hold commas themselves.
struct Members<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Members<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.rest.iter().position(|byte| !matches!(byte, b',' | b' ' | b'\t'))?;
        let text = &self.rest[start..];
        let mut quoted = false;
        let ends = |&byte: &u8| {
            quoted ^= byte == b'"';
            byte == b',' && !quoted
        };
        let end = text.iter().position(ends).unwrap_or(text.len());
        self.rest = &text[end..];
        Some(text[..end].trim_ascii())
    }
}

/// The value of a field that is there exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.as_bytes().trim_ascii())
}

/// A condition's date. One that cannot be read, or several, count as no condition (RFC 9110 § 13.1.3, § 13.1.4).
fn date(headers: &HeaderMap, name: &HeaderName, validators: &Validators<'_>) -> Option<Timestamp> {
    read_date(only(headers, name)?, validators)
}

/// A date that may be the representation's own, which is read as of its receipt.
fn read_date(text: &[u8], validators: &Validators<'_>) -> Option<Timestamp> {
    Timestamp::from_http_date(std::str::from_utf8(text).ok()?, validators.date)
}

/// HTTP dates have no fractions; our own time of receipt has.
fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_millis(time.as_millis() / 1_000 * 1_000)
}

#[cfg(test)]
mod tests;
