use proptest::prelude::*;

use super::*;
use crate::fixture::headers;

fn resolve(range: &str, length: u64) -> Resolved {
    RangeSet::of(&headers(&format!("Range: {range}"))).map_or(Resolved::Whole, |set| set.resolve(length))
}

/// `None`: the whole; an empty list: 416; else first and last byte of each range.
fn check(range: &str, length: u64, expected: Option<&[(u64, u64)]>) {
    let seen = match resolve(range, length) {
        Resolved::Whole => None,
        Resolved::Unsatisfiable => Some(Vec::new()),
        Resolved::Excerpt(excerpt) => {
            assert_eq!(excerpt.length, length);
            Some(excerpt.ranges().iter().map(|range| (range.start, range.end - 1)).collect())
        }
    };
    assert_eq!(seen.as_deref(), expected, "{range} of {length}");
}

/// RFC 9110 § 14.1.2.
#[test]
fn single_ranges_are_first_to_last_open_ended_or_a_suffix() {
    for (range, first, last) in [
        ("bytes=0-0", 0, 0),
        ("bytes=0-499", 0, 499),
        ("bytes=500-999", 500, 999),
        ("bytes=9500-", 9500, 9999),
        ("bytes=-500", 9500, 9999),
        ("bytes=-1", 9999, 9999),
        ("bytes=0-", 0, 9999),
        // Longer than the body: what there is.
        ("bytes=0-99999", 0, 9999),
        ("bytes=9999-10000", 9999, 9999),
        ("bytes=-10001", 0, 9999),
        ("bytes=007-0008", 7, 8),
        // Larger than any number of ours.
        ("bytes=0-18446744073709551615", 0, 9999),
        ("bytes=1-99999999999999999999999999", 1, 9999),
        ("bytes=-99999999999999999999999999", 0, 9999),
    ] {
        check(range, 10_000, Some(&[(first, last)]));
    }
}

/// RFC 9110 § 14.1: units are case-insensitive; § 5.6.1: lists have space and empty members.
#[test]
fn case_space_and_empty_members_do_not_matter() {
    for range in ["Bytes=0-1", "BYTES=0-1", "bytes= 0-1 ", "bytes=,0-1", "bytes=\t0-1 ,,", " bytes=0-1"] {
        check(range, 10, Some(&[(0, 1)]));
    }
    check("bytes= 0-1 ,, 3-4\t,", 10, Some(&[(0, 1), (3, 4)]));
}

/// RFC 9110 § 14.2: an unknown unit is ignored; § 14.1.1: an invalid specifier may be.
#[test]
fn what_is_not_a_valid_range_set_is_not_followed() {
    for range in [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=--1",
        "bytes=1",
        "bytes=a-b",
        "bytes=1-0",
        "bytes=0-1-2",
        "bytes=+1-2",
        "bytes=0x1-2",
        "bytes=0 -1",
        "bytes=0- 1",
        "bytes =0-1",
        "bytes 0-1",
        "bytes:0-1",
        "items=0-1",
        "none",
        "bytes=0-1, a",
        "bytes=0-1;2-3",
        "bytes=0-1, 5-4",
        "bytes=¹-2",
    ] {
        check(range, 10, None);
    }
    check("bytes=0-1\nRange: bytes=0-1", 10, None);
}

/// RFC 9110 § 14.1.2, § 15.5.17.
#[test]
fn what_begins_behind_the_end_is_unsatisfiable() {
    for range in [
        "bytes=10-",
        "bytes=10-20",
        "bytes=-0",
        "bytes=18446744073709551615-",
        "bytes=99999999999999999999-",
        "bytes=10-11, 12-13",
        "bytes=20-, -0",
    ] {
        let expected: Option<&[_]> = if range.contains(", -0") { None } else { Some(&[]) };
        check(range, 10, expected);
    }
    check("bytes=0-", 0, Some(&[]));
    check("bytes=0-0", 0, Some(&[]));
    check("bytes=-5", 0, None);
    assert_eq!(unsatisfied(10), "bytes */10");
}

/// RFC 9110 § 14.1.1: the others are answered.
#[test]
fn of_several_ranges_those_that_are_there_count() {
    check("bytes=0-1, 100-200", 10, Some(&[(0, 1)]));
    check("bytes=0-1, 5-200, 300-", 10, Some(&[(0, 1), (5, 9)]));
}

/// CloudFront: "How CloudFront processes partial requests for an object".
#[test]
fn several_ranges_are_followed_in_ascending_order_without_overlap() {
    check("bytes=0-1,2-3", 10, Some(&[(0, 1), (2, 3)]));
    check("bytes=0-0,5-6,8-", 10, Some(&[(0, 0), (5, 6), (8, 9)]));
    check("bytes=0-1,-2", 10, Some(&[(0, 1), (8, 9)]));
    // Known before there is a length, so that no origin sees these either.
    for range in [
        "bytes=0-1,1-2",
        "bytes=0-0,0-0",
        "bytes=5-6,0-1",
        "bytes=0-,5-6",
        "bytes=0-,-1",
        "bytes=-2,-1",
        "bytes=-5,0-1",
    ] {
        assert_eq!(RangeSet::of(&headers(&format!("Range: {range}"))), None, "{range}");
    }
    for range in ["bytes=0-8,-2", "bytes=0-1,-9"] {
        check(range, 10, None);
    }
}

#[test]
fn the_number_of_ranges_is_bounded() {
    let many =
        |count: usize| (0..count).map(|index| format!("{}-{}", 2 * index, 2 * index)).collect::<Vec<_>>().join(",");
    let most = resolve(&format!("bytes={}", many(limits::RANGES)), 10_000);
    assert!(matches!(most, Resolved::Excerpt(excerpt) if excerpt.ranges().len() == limits::RANGES));
    check(&format!("bytes={}", many(limits::RANGES + 1)), 10_000, None);
}

fn layout(range: &str, length: u64, content_type: Option<&'static str>) -> Layout {
    let Resolved::Excerpt(excerpt) = resolve(range, length) else { panic!("{range} of {length} is an excerpt") };
    excerpt.layout(content_type.map(HeaderValue::from_static).as_ref(), "b0b")
}

/// The body that a layout makes of one.
fn assemble(layout: &Layout, body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    for segment in &layout.segments {
        match segment {
            Segment::Text(text) => whole.extend_from_slice(text),
            Segment::Span(range) => {
                whole.extend_from_slice(
                    &body[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()],
                );
            }
        }
    }
    whole
}

/// RFC 9110 § 15.3.7.1.
#[test]
fn one_range_is_its_bytes() {
    let layout = layout("bytes=2-4, 100-", 10, Some("text/plain"));
    assert_eq!(layout.framing, Framing::Single(HeaderValue::from_static("bytes 2-4/10")));
    assert_eq!((layout.length, &assemble(&layout, b"0123456789")[..]), (3, &b"234"[..]));
}

/// RFC 9110 § 15.3.7.2, § 14.6.
#[test]
fn several_ranges_are_parts_with_heads_of_their_own() {
    let parts = layout("bytes=0-1,5-6", 10, Some("text/plain"));
    assert_eq!(parts.framing, Framing::Multipart(HeaderValue::from_static("multipart/byteranges; boundary=b0b")));
    let expected = "\r\n--b0b\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n01\
                    \r\n--b0b\r\nContent-Type: text/plain\r\nContent-Range: bytes 5-6/10\r\n\r\n56\r\n--b0b--\r\n";
    assert_eq!(String::from_utf8(assemble(&parts, b"0123456789")).unwrap(), expected);
    assert_eq!(parts.length, expected.len() as u64);
    let untyped = assemble(&layout("bytes=0-1,5-6", 10, None), b"0123456789");
    assert_eq!(String::from_utf8(untyped).unwrap(), expected.replace("Content-Type: text/plain\r\n", ""));
}

/// What RFC 9110 § 14.1.2 says of one member, byte by byte.
fn is_in(offset: u64, length: u64, (first, last): (Option<u64>, Option<u64>)) -> bool {
    match (first, last) {
        (Some(first), Some(last)) => offset >= first && offset <= last,
        (Some(first), None) => offset >= first,
        (None, Some(suffix)) => offset + suffix >= length,
        (None, None) => false,
    }
}

proptest! {
    #[test]
    fn an_excerpt_has_exactly_the_bytes_asked_for(
        body in proptest::collection::vec(any::<u8>(), 0..40),
        members in proptest::collection::vec((proptest::option::of(0_u64..45), proptest::option::of(0_u64..45)), 1..5),
    ) {
        let length = body.len() as u64;
        let text = |(first, last): &(Option<u64>, Option<u64>)| {
            let number = |number: &Option<u64>| number.map_or(String::new(), |number| number.to_string());
            format!("{}-{}", number(first), number(last))
        };
        let range = format!("bytes={}", members.iter().map(text).collect::<Vec<_>>().join(", "));
        let wanted: Vec<Vec<u64>> =
            members.iter().map(|&member| (0..length).filter(|&at| is_in(at, length, member)).collect()).collect();
        match resolve(&range, length) {
            Resolved::Whole => {}
            Resolved::Unsatisfiable => prop_assert!(wanted.iter().all(Vec::is_empty), "{range} of {length}"),
            Resolved::Excerpt(excerpt) => {
                let offsets: Vec<Vec<u64>> =
                    excerpt.ranges().iter().map(|range| (range.start..range.end).collect()).collect();
                let there: Vec<_> = wanted.into_iter().filter(|offsets| !offsets.is_empty()).collect();
                prop_assert_eq!(&offsets, &there);
                let all = offsets.concat();
                prop_assert!(all.windows(2).all(|pair| pair[0] < pair[1]), "no byte twice");
                prop_assert!(all.len() as u64 <= length);
                let layout = excerpt.layout(None, "b0b");
                prop_assert_eq!(assemble(&layout, &body).len() as u64, layout.length);
            }
        }
    }

    /// Valid, ascending, without overlap: then it is followed.
    #[test]
    fn a_proper_range_set_is_followed(
        gaps in proptest::collection::vec((0_u64..5, 1_u64..5), 1..6),
        behind in 0_u64..5,
    ) {
        let mut at = 0;
        let ranges: Vec<_> = gaps.iter().map(|(gap, count)| {
            let first = at + gap;
            at = first + count;
            (first, at - 1)
        }).collect();
        let text = ranges.iter().map(|(first, last)| format!("{first}-{last}")).collect::<Vec<_>>().join(",");
        check(&format!("bytes={text}"), at + behind, Some(&ranges));
    }

    #[test]
    fn any_text_is_read(text in "(bytes=)?[-0-9, ab=]{0,40}", length in any::<u64>()) {
        resolve(&text, length);
    }
}
