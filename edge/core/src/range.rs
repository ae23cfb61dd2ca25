//! Ranges of bytes (RFC 9110 § 14): what a Range field asks for, and what a body of those parts is made of.
//!
//! A field that is not followed is one that is not there: the answer is the whole representation. Several ranges are
//! followed only in ascending order and without overlap (CloudFront: "How CloudFront processes partial requests for an
//! object"), so that no request makes us send a byte twice (the class of attacks known as RangeAmp).

use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue, RANGE};

use crate::limits;

/// The ranges of a Range field, at least one and at most [`limits::RANGES`], in ascending order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeSet(Vec<RangeSpec>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RangeSpec {
    /// `first-last` or `first-`; both inclusive.
    From(u64, Option<u64>),
    /// `-length`: so many at the end.
    Suffix(u64),
}

impl RangeSet {
    /// Reads the Range field of a GET. `None`: there is none that is followed. It may be there twice, in another unit,
    /// malformed, out of order, overlapping, or ask for too many ranges.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(RANGE).iter();
        let value = values.next().filter(|_| values.next().is_none())?;
        let text = value.to_str().ok()?.trim_ascii();
        let (unit, set) = text.split_once('=')?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        let members = || set.split(',').map(str::trim_ascii).filter(|member| !member.is_empty());
        if members().take(limits::RANGES + 1).count() > limits::RANGES {
            return None;
        }
        let specs: Option<Vec<_>> = members().map(RangeSpec::read).collect();
        let specs = specs.filter(|specs| !specs.is_empty())?;
        specs.windows(2).all(|pair| pair[0].is_before(pair[1])).then_some(Self(specs))
    }

    /// The ranges of a body of this length.
    pub fn resolve(&self, length: u64) -> Resolved {
        let mut ranges: Vec<ByteRange> = Vec::with_capacity(self.0.len());
        for range in self.0.iter().filter_map(|spec| spec.resolve(length)) {
            // Where a suffix begins is known only now.
            if ranges.last().is_some_and(|before| before.end > range.start) {
                return Resolved::Whole;
            }
            ranges.push(range);
        }
        match (ranges.is_empty(), length) {
            (false, _) => Resolved::Excerpt(Excerpt { ranges, length }),
            // Satisfiable, but no range of an empty body can be named (RFC 9110 § 14.1.2, § 14.4).
            (true, 0) if self.0.iter().any(|spec| matches!(spec, RangeSpec::Suffix(1..))) => Resolved::Whole,
            (true, _) => Resolved::Unsatisfiable,
        }
    }
}

impl RangeSpec {
    fn read(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-')?;
        match (first, last) {
            ("", length) => number(length).map(Self::Suffix),
            (first, "") => Some(Self::From(number(first)?, None)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::From(first, Some(last)))
            }
        }
    }

    /// Whether all of it certainly, or in the case of a suffix possibly, lies before all of the other.
    fn is_before(self, other: Self) -> bool {
        match (self, other) {
            (Self::From(_, Some(last)), Self::From(first, _)) => last < first,
            (Self::From(_, last), Self::Suffix(_)) => last.is_some(),
            (Self::From(_, None) | Self::Suffix(_), _) => false,
        }
    }

    fn resolve(self, length: u64) -> Option<ByteRange> {
        let (start, end) = match self {
            Self::From(first, last) => (first, last.map_or(length, |last| last.saturating_add(1).min(length))),
            Self::Suffix(count) => (length.saturating_sub(count), length),
        };
        (start < end).then_some(ByteRange { start, end })
    }
}

/// A number; one too large for us is larger than any body.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

/// What a range set means for a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// The field is not followed.
    Whole,
    /// These parts.
    Excerpt(Excerpt),
    /// Nothing of it is there: 416.
    Unsatisfiable,
}

/// Consecutive bytes, never none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// Offset of the first byte.
    pub start: u64,
    /// Offset behind the last byte.
    pub end: u64,
}

impl ByteRange {
    /// How many bytes.
    pub fn byte_count(self) -> u64 {
        self.end - self.start
    }

    /// `bytes first-last/length` (RFC 9110 § 14.4).
    fn content_range(self, length: u64) -> String {
        format!("bytes {}-{}/{length}", self.start, self.end - 1)
    }
}

/// Parts of a body: at least one, ascending, without overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    ranges: Vec<ByteRange>,
    length: u64,
}

impl Excerpt {
    /// The parts.
    pub fn ranges(&self) -> &[ByteRange] {
        &self.ranges
    }

    /// How the parts become a body. `boundary` separates several of them: up to 70 letters and digits that are nowhere
    /// in the representation, which is so when they are drawn at random afterwards.
    pub fn layout(&self, content_type: Option<&HeaderValue>, boundary: &str) -> Layout {
        if let [range] = self.ranges[..] {
            let content_range = range.content_range(self.length);
            let framing = Framing::Single(value(content_range));
            return Layout { framing, segments: vec![Segment::Span(range)], length: range.byte_count() };
        }
        let mut segments = Vec::with_capacity(2 * self.ranges.len() + 1);
        let mut length = 0;
        for range in &self.ranges {
            let head = part_head(boundary, content_type, &range.content_range(self.length));
            length += head.len() as u64 + range.byte_count();
            segments.push(Segment::Text(head));
            segments.push(Segment::Span(*range));
        }
        let end = Bytes::from(format!("\r\n--{boundary}--\r\n"));
        length += end.len() as u64;
        segments.push(Segment::Text(end));
        let framing = Framing::Multipart(value(format!("multipart/byteranges; boundary={boundary}")));
        Layout { framing, segments, length }
    }
}

/// A body made of parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// What the head says of it.
    pub framing: Framing,
    /// What it consists of, in order.
    pub segments: Vec<Segment>,
    /// Its length, bytes.
    pub length: u64,
}

/// How the head of a 206 describes its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Framing {
    /// By this Content-Range (RFC 9110 § 15.3.7.1).
    Single(HeaderValue),
    /// By this Content-Type (RFC 9110 § 15.3.7.2).
    Multipart(HeaderValue),
}

/// A piece of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Text of our own.
    Text(Bytes),
    /// A part of the representation.
    Span(ByteRange),
}

/// Value of Content-Range in a 416: how long the representation is (RFC 9110 § 15.5.17).
pub fn unsatisfied(length: u64) -> HeaderValue {
    value(format!("bytes */{length}"))
}

/// What stands before a part (RFC 9110 § 14.6). The first line break belongs to the boundary.
fn part_head(boundary: &str, content_type: Option<&HeaderValue>, content_range: &str) -> Bytes {
    let mut head = format!("\r\n--{boundary}\r\n").into_bytes();
    if let Some(content_type) = content_type {
        head.extend_from_slice(b"Content-Type: ");
        head.extend_from_slice(content_type.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(format!("Content-Range: {content_range}\r\n\r\n").as_bytes());
    Bytes::from(head)
}

fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("letters, digits and plain punctuation are a field value")
}

#[cfg(test)]
mod tests;
