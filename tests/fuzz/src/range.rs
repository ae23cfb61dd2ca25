//! Ranges: what is sent of a representation lies within it, in order, and no byte of it twice.

use std::sync::LazyLock;

use http::{HeaderValue, Method, Response, StatusCode, Version};
use proxima_edge_core::entry::StoredResponse;
use proxima_edge_core::limits;
use proxima_edge_core::part::{Part, Representation};
use proxima_edge_core::range::{ByteRange, Excerpt, Framing, Segment};
use proxima_edge_core::respond;

use crate::{input, response};

/// What is known of the stored representation but its length.
static STORED: LazyLock<StoredResponse> = LazyLock::new(|| {
    let fields = b"ETag: \"a\"\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\nCache-Control: max-age=60\n";
    response::stored(0, StatusCode::OK, input::fields(fields).0).unwrap()
});

/// The first line is the length of the representation, the others are fields of a GET.
pub(crate) fn target(data: &[u8]) {
    let (first, rest) = input::line(data);
    let digits = std::str::from_utf8(first).ok().and_then(|text| text.parse::<u64>().ok());
    let length = digits.unwrap_or(10).min(limits::BODY_BYTES);
    let head = input::parts(Method::GET.as_str().as_bytes(), b"/film", Version::HTTP_11, input::fields(rest).0);
    let Some(request) = head.and_then(input::viewer) else { return };
    let stored = StoredResponse { body_length: length, ..STORED.clone() };
    match Part::of(&request, &Representation::stored(&stored)) {
        Part::Whole | Part::NotModified => {}
        Part::Unsatisfiable(known) => assert_eq!(known, length),
        Part::Excerpt(excerpt) => check(&excerpt, length),
    }
}

fn check(excerpt: &Excerpt, length: u64) {
    let ranges = excerpt.ranges();
    assert!((1..=limits::RANGES).contains(&ranges.len()), "{} ranges", ranges.len());
    assert!(ranges.iter().all(|range| range.start < range.end && range.end <= length), "not within {length}");
    assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start), "out of order, or a byte twice");
    let covered: u64 = ranges.iter().map(|range| range.byte_count()).sum();
    assert!(covered <= length);

    let content_type = HeaderValue::from_static("video/mp4");
    let layout = excerpt.layout(Some(&content_type), "boundary");
    let spans: Vec<ByteRange> = layout
        .segments
        .iter()
        .filter_map(|segment| match segment {
            Segment::Span(range) => Some(*range),
            Segment::Text(_) => None,
        })
        .collect();
    assert_eq!(spans, ranges, "the body has the ranges, all and in order");
    let text: u64 = layout
        .segments
        .iter()
        .map(|segment| match segment {
            Segment::Span(_) => 0,
            Segment::Text(text) => text.len() as u64,
        })
        .sum();
    assert_eq!(layout.length, covered + text, "the length that is announced is that of the body");
    assert!(text <= (ranges.len() as u64 + 1) * PART_HEAD_BYTES, "{text} bytes of framing");
    assert_eq!(ranges.len() == 1, matches!(layout.framing, Framing::Single(_)));

    let mut response = Response::new(());
    respond::partial(&mut response, &layout);
    assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
}

/// More than what stands before a part: boundary, type, and three numbers of up to 20 digits.
const PART_HEAD_BYTES: u64 = 160;
