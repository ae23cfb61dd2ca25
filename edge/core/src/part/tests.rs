use super::*;
use crate::fixture::{self, method, request, stored};

/// Of a stored 200 of noon with five bytes.
fn part(text: &str, response: &StoredResponse) -> Part {
    Part::of(&request(text), &Representation::stored(response))
}

fn excerpt(range: &str, length: u64) -> Part {
    match RangeSet::of(&fixture::headers(&format!("Range: {range}"))).unwrap().resolve(length) {
        Resolved::Excerpt(excerpt) => Part::Excerpt(excerpt),
        other => panic!("{range} of {length} is {other:?}"),
    }
}

#[test]
fn a_request_gets_the_part_that_it_asks_for() {
    let response = stored("ETag: \"a\"");
    for (fields, expected) in [
        ("", Part::Whole),
        ("If-None-Match: \"a\"", Part::NotModified),
        ("If-None-Match: \"b\"", Part::Whole),
        ("Range: bytes=1-2", excerpt("bytes=1-2", 5)),
        ("Range: bytes=1-2\nIf-Range: \"a\"", excerpt("bytes=1-2", 5)),
        ("Range: bytes=1-2\nIf-Range: \"b\"", Part::Whole),
        ("Range: bytes=9-\nIf-Range: \"b\"", Part::Whole),
        ("If-Range: \"a\"", Part::Whole),
        ("Range: bytes=5-", Part::Unsatisfiable(5)),
        ("Range: bytes=3-2", Part::Whole),
        // Conditions come first (RFC 9110 § 13.2.2).
        ("Range: bytes=5-\nIf-None-Match: \"a\"", Part::NotModified),
        ("Range: bytes=1-2\nIf-None-Match: \"b\"", excerpt("bytes=1-2", 5)),
        ("If-Match: \"a\"\nRange: bytes=1-2", excerpt("bytes=1-2", 5)),
    ] {
        assert_eq!(part(&format!("GET / HTTP/1.1\n{fields}"), &response), expected, "{fields}");
    }
}

/// RFC 9110 § 14.2.
#[test]
fn a_range_is_for_get_only() {
    let response = stored("ETag: \"a\"");
    assert_eq!(part("HEAD / HTTP/1.1\nRange: bytes=9-", &response), Part::Whole);
    assert_eq!(part("HEAD / HTTP/1.1\nIf-None-Match: \"a\"\nRange: bytes=0-1", &response), Part::NotModified);
}

/// RFC 9110 § 13.2.1.
#[test]
fn options_has_no_conditions() {
    let request =
        ViewerRequest { method: method("OPTIONS"), ..request("GET / HTTP/1.1\nIf-None-Match: *\nRange: bytes=0-1") };
    assert_eq!(Part::of(&request, &Representation::stored(&stored(""))), Part::Whole);
}

/// RFC 9110 § 13.2.1, § 15.3.7.
#[test]
fn conditions_are_for_success_and_ranges_for_200() {
    for (status, conditional, range) in [
        (200, Part::NotModified, excerpt("bytes=0-1", 5)),
        (203, Part::NotModified, Part::Whole),
        (204, Part::NotModified, Part::Whole),
        (301, Part::Whole, Part::Whole),
        (404, Part::Whole, Part::Whole),
        (500, Part::Whole, Part::Whole),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        let response = StoredResponse { status, ..stored("ETag: \"a\"") };
        assert_eq!(part("GET / HTTP/1.1\nIf-None-Match: \"a\"", &response), conditional, "{status}");
        assert_eq!(part("GET / HTTP/1.1\nRange: bytes=0-1", &response), range, "{status}");
        let fails = Representation::stored(&response).fails(&request("GET / HTTP/1.1\nIf-Match: \"b\""));
        assert_eq!(fails, status.is_success(), "{status}");
    }
}

#[test]
fn while_the_length_is_unknown_there_are_no_ranges() {
    let response = stored("ETag: \"a\"");
    let get = request("GET / HTTP/1.1\nRange: bytes=9-");
    assert_eq!(Part::of(&get, &Representation::arriving(&response, None)), Part::Whole);
    assert_eq!(Part::of(&get, &Representation::arriving(&response, Some(9))), Part::Unsatisfiable(9));
}

#[test]
fn what_is_not_stored_is_sent_whole_or_not_at_all() {
    let modified = "Last-Modified: Sun, 22 Nov 2026 11:00:00 GMT";
    let response = fixture::response(200, &format!("ETag: \"a\"\n{modified}"));
    let part =
        |fields: &str| Part::of(&request(&format!("GET / HTTP/1.1\n{fields}")), &Representation::unstored(&response));
    assert_eq!(part("If-None-Match: \"a\""), Part::NotModified);
    assert_eq!(part("If-Modified-Since: Sun, 22 Nov 2026 11:00:00 GMT"), Part::NotModified);
    assert_eq!(part("If-Modified-Since: Sun, 22 Nov 2026 10:00:00 GMT"), Part::Whole);
    assert_eq!(part("Range: bytes=9-"), Part::Whole);
}
