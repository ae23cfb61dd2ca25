use proptest::prelude::*;

use super::*;
use crate::fixture::{NOON, headers};

const BEFORE: &str = "Sun, 22 Nov 2026 10:00:00 GMT";
const MODIFIED: &str = "Sun, 22 Nov 2026 11:00:00 GMT";
const AFTER: &str = "Sun, 22 Nov 2026 11:30:00 GMT";

/// Validators of a response of noon with these fields.
fn validators(fields: &HeaderMap) -> Validators<'_> {
    let modified =
        fields.get("last-modified").and_then(|value| Timestamp::from_http_date(value.to_str().unwrap(), NOON));
    Validators::new(fields, modified, NOON)
}

fn check(request: &str, response: &str, expected: Verdict) {
    let response = headers(response);
    assert_eq!(evaluate(&headers(request), &validators(&response)), expected, "{request} against {response:?}");
}

fn check_range(if_range: &str, response: &str, expected: bool) {
    let response = headers(response);
    assert_eq!(range_applies(&headers(if_range), &validators(&response)), expected, "{if_range} against {response:?}");
}

/// RFC 9110 § 13.1.2, § 8.8.3.2.
#[test]
fn if_none_match_compares_weakly_and_every_member() {
    for (field, etag, expected) in [
        ("\"a\"", "\"a\"", Verdict::NotModified),
        ("\"a\"", "W/\"a\"", Verdict::NotModified),
        ("W/\"a\"", "\"a\"", Verdict::NotModified),
        ("W/\"a\"", "W/\"a\"", Verdict::NotModified),
        ("\"b\"", "\"a\"", Verdict::Proceed),
        ("\"A\"", "\"a\"", Verdict::Proceed),
        ("\"\"", "\"\"", Verdict::NotModified),
        ("\"a\", \"1\"", "\"a\"", Verdict::NotModified),
        ("\"1\",\"a\"", "\"a\"", Verdict::NotModified),
        (", ,\"1\" ,\t\"a\",", "\"a\"", Verdict::NotModified),
        ("\"1\"\nIf-None-Match: \"a\"", "\"a\"", Verdict::NotModified),
        // A tag may hold a comma.
        ("\"a,b\", \"c\"", "\"a,b\"", Verdict::NotModified),
        ("\"a,b\"", "\"a\"", Verdict::Proceed),
        ("*", "\"a\"", Verdict::NotModified),
        ("\"*\"", "\"a\"", Verdict::Proceed),
        // `*` stands alone.
        ("\"1\", *", "\"a\"", Verdict::Proceed),
        ("", "\"a\"", Verdict::Proceed),
    ] {
        check(&format!("If-None-Match: {field}"), &format!("ETag: {etag}"), expected);
    }
    check("If-None-Match: *", "", Verdict::NotModified);
    check("If-None-Match: \"a\"", "", Verdict::Proceed);
    check("If-None-Match: \"a\"", "ETag: \"a\"\nETag: \"a\"", Verdict::Proceed);
    check("If-None-Match: \"\"", "ETag:", Verdict::Proceed);
}

#[test]
fn what_is_not_an_entity_tag_equals_only_itself_and_only_weakly() {
    for (text, other) in
        [("a", "\"a\""), ("w/\"a\"", "W/\"a\""), ("W\"a\"", "W/\"a\""), ("\"a", "\"a\""), ("W/", "\"\"")]
    {
        check(&format!("If-None-Match: {text}"), &format!("ETag: {text}"), Verdict::NotModified);
        check(&format!("If-None-Match: {text}"), &format!("ETag: {other}"), Verdict::Proceed);
        check(&format!("If-None-Match: {other}"), &format!("ETag: {text}"), Verdict::Proceed);
        check(&format!("If-Match: {text}"), &format!("ETag: {text}"), Verdict::PreconditionFailed);
        check_range(&format!("If-Range: {text}"), &format!("ETag: {text}"), false);
    }
}

/// RFC 9110 § 13.1.1.
#[test]
fn if_match_compares_strongly() {
    for (field, etag, expected) in [
        ("\"a\"", "ETag: \"a\"", Verdict::Proceed),
        ("\"1\", \"a\"", "ETag: \"a\"", Verdict::Proceed),
        ("W/\"a\"", "ETag: \"a\"", Verdict::PreconditionFailed),
        ("\"a\"", "ETag: W/\"a\"", Verdict::PreconditionFailed),
        ("W/\"a\"", "ETag: W/\"a\"", Verdict::PreconditionFailed),
        ("\"b\"", "ETag: \"a\"", Verdict::PreconditionFailed),
        ("\"a\"", "", Verdict::PreconditionFailed),
        ("*", "", Verdict::Proceed),
        ("*", "ETag: W/\"a\"", Verdict::Proceed),
        ("", "ETag: \"a\"", Verdict::PreconditionFailed),
    ] {
        check(&format!("If-Match: {field}"), etag, expected);
    }
}

/// RFC 9110 § 13.1.3, RFC 9111 § 4.3.2.
#[test]
fn if_modified_since_compares_with_last_modified_else_with_date() {
    let modified = format!("Last-Modified: {MODIFIED}");
    for (date, expected) in [
        (BEFORE, Verdict::Proceed),
        ("Sun, 22 Nov 2026 10:59:59 GMT", Verdict::Proceed),
        (MODIFIED, Verdict::NotModified),
        ("Sunday, 22-Nov-26 11:00:00 GMT", Verdict::NotModified),
        ("Sun Nov 22 11:00:00 2026", Verdict::NotModified),
        (AFTER, Verdict::NotModified),
        ("yesterday", Verdict::Proceed),
        ("", Verdict::Proceed),
        ("\"a\"", Verdict::Proceed),
    ] {
        check(&format!("If-Modified-Since: {date}"), &modified, expected);
    }
    check(&format!("If-Modified-Since: {AFTER}\nIf-Modified-Since: {AFTER}"), &modified, Verdict::Proceed);
    check(&format!("If-Modified-Since: {AFTER}"), "", Verdict::Proceed);
    check("If-Modified-Since: Sun, 22 Nov 2026 12:00:00 GMT", "", Verdict::NotModified);
}

#[test]
fn our_own_time_of_receipt_counts_in_whole_seconds() {
    let none = HeaderMap::new();
    let received = NOON.plus(std::time::Duration::from_millis(999));
    let validators = Validators::new(&none, None, received);
    let request = headers("If-Modified-Since: Sun, 22 Nov 2026 12:00:00 GMT");
    assert_eq!(evaluate(&request, &validators), Verdict::NotModified);
}

/// RFC 9110 § 13.1.4: ignored where no date of modification is known.
#[test]
fn if_unmodified_since_compares_with_last_modified_only() {
    let modified = format!("Last-Modified: {MODIFIED}");
    for (date, expected) in [
        (BEFORE, Verdict::PreconditionFailed),
        (MODIFIED, Verdict::Proceed),
        (AFTER, Verdict::Proceed),
        ("yesterday", Verdict::Proceed),
    ] {
        check(&format!("If-Unmodified-Since: {date}"), &modified, expected);
        check(&format!("If-Unmodified-Since: {date}"), "", Verdict::Proceed);
    }
    check(&format!("If-Unmodified-Since: {BEFORE}\nIf-Unmodified-Since: {BEFORE}"), &modified, Verdict::Proceed);
}

/// RFC 9110 § 13.2.2.
#[test]
fn tags_take_precedence_over_dates_and_requirements_over_savings() {
    let response = format!("ETag: \"a\"\nLast-Modified: {MODIFIED}");
    for (request, expected) in [
        (format!("If-None-Match: \"b\"\nIf-Modified-Since: {AFTER}"), Verdict::Proceed),
        (format!("If-None-Match: \"a\"\nIf-Modified-Since: {BEFORE}"), Verdict::NotModified),
        (format!("If-Match: \"a\"\nIf-Unmodified-Since: {BEFORE}"), Verdict::Proceed),
        (format!("If-Match: \"b\"\nIf-Unmodified-Since: {AFTER}"), Verdict::PreconditionFailed),
        ("If-Match: \"b\"\nIf-None-Match: \"a\"".to_owned(), Verdict::PreconditionFailed),
        ("If-Match: \"a\"\nIf-None-Match: \"a\"".to_owned(), Verdict::NotModified),
        (format!("If-Unmodified-Since: {AFTER}\nIf-Modified-Since: {AFTER}"), Verdict::NotModified),
    ] {
        check(&request, &response, expected);
    }
}

/// RFC 9110 § 13.1.5.
#[test]
fn if_range_needs_a_strong_tag_or_a_strong_date_that_is_the_very_same() {
    check_range("", "", true);
    for (value, response, expected) in [
        ("\"a\"", "ETag: \"a\"", true),
        ("\"b\"", "ETag: \"a\"", false),
        ("W/\"a\"", "ETag: W/\"a\"", false),
        ("\"a\"", "ETag: W/\"a\"", false),
        ("\"a\"", "", false),
        ("*", "ETag: \"a\"", false),
        ("\"a\", \"b\"", "ETag: \"a\"", false),
        ("\"a\"\nIf-Range: \"a\"", "ETag: \"a\"", false),
        (MODIFIED, &format!("Last-Modified: {MODIFIED}"), true),
        ("Sunday, 22-Nov-26 11:00:00 GMT", &format!("Last-Modified: {MODIFIED}"), true),
        (BEFORE, &format!("Last-Modified: {MODIFIED}"), false),
        (AFTER, &format!("Last-Modified: {MODIFIED}"), false),
        (MODIFIED, "", false),
        ("yesterday", &format!("Last-Modified: {MODIFIED}"), false),
        ("yesterday", "", false),
        // Changed in the second in which it was sent: it may have changed once more (§ 8.8.2.2).
        ("Sun, 22 Nov 2026 12:00:00 GMT", "Last-Modified: Sun, 22 Nov 2026 12:00:00 GMT", false),
        ("Sun, 22 Nov 2026 11:59:59 GMT", "Last-Modified: Sun, 22 Nov 2026 11:59:59 GMT", true),
    ] {
        check_range(&format!("If-Range: {value}"), response, expected);
    }
}

#[test]
fn only_requests_with_such_fields_concern_it() {
    for field in ["If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "Range"] {
        assert!(concerns(&headers(&format!("Accept: */*\n{field}: x"))), "{field}");
    }
    assert!(!concerns(&headers("Accept: */*\nIf: x\nIf-Range: \"a\"")));
}

/// One precondition of a request, as RFC 9110 § 13.2.2 speaks of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Absent,
    True,
    False,
}

/// What a request asks for, and what step of § 13.2.2 that leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Failed412,
    NotModified304,
    Partial206,
    Perform,
}

/// RFC 9110 § 13.2.2, sentence by sentence, for a GET or HEAD at an origin.
fn transcription(c: [Condition; 5], get_with_range: bool) -> Step {
    use Condition::{Absent, False, True};
    let [if_match, if_unmodified_since, if_none_match, if_modified_since, if_range] = c;
    // 1. "If-Match is present": true → 3, false → 412.
    if if_match == False {
        return Step::Failed412;
    }
    // 2. "If-Match is not present, and If-Unmodified-Since is present": true → 3, false → 412.
    if if_match == Absent && if_unmodified_since == False {
        return Step::Failed412;
    }
    // 3. "If-None-Match is present": true → 5, false for GET and HEAD → 304.
    if if_none_match == False {
        return Step::NotModified304;
    }
    // 4. "GET or HEAD, If-None-Match is not present, and If-Modified-Since is present": true → 5, false → 304.
    if if_none_match == Absent && if_modified_since == False {
        return Step::NotModified304;
    }
    // 5. "GET and both Range and If-Range are present": true → 206, else Range is ignored.
    if get_with_range && (if_range == True || if_range == Absent) {
        return Step::Partial206;
    }
    // 6. "Otherwise perform the requested method".
    Step::Perform
}

proptest! {
    #[test]
    fn evaluation_agrees_with_the_order_of_rfc_9110_section_13_2_2(
        conditions in proptest::array::uniform5(prop_oneof![
            Just(Condition::Absent), Just(Condition::True), Just(Condition::False),
        ]),
        range in any::<bool>(),
        order in any::<bool>(),
    ) {
        // Name, a value under which the condition is true, and one under which it is false.
        let fields = [
            ("If-Match", "\"1\", \"a\"", "\"1\", W/\"a\""),
            ("If-Unmodified-Since", AFTER, BEFORE),
            ("If-None-Match", "\"1\"", "\"1\", W/\"a\""),
            ("If-Modified-Since", BEFORE, AFTER),
            ("If-Range", "\"a\"", "\"b\""),
        ];
        let mut lines: Vec<_> = conditions.iter().zip(fields).filter_map(|(condition, (name, when_true, when_false))| {
            match condition {
                Condition::Absent => None,
                Condition::True => Some(format!("{name}: {when_true}")),
                Condition::False => Some(format!("{name}: {when_false}")),
            }
        }).collect();
        if order {
            lines.reverse();
        }
        let request = headers(&lines.join("\n"));
        let response = headers(&format!("ETag: \"a\"\nLast-Modified: {MODIFIED}"));
        let validators = validators(&response);
        let step = match evaluate(&request, &validators) {
            Verdict::PreconditionFailed => Step::Failed412,
            Verdict::NotModified => Step::NotModified304,
            Verdict::Proceed if range && range_applies(&request, &validators) => Step::Partial206,
            Verdict::Proceed => Step::Perform,
        };
        prop_assert_eq!(step, transcription(conditions, range));
    }

    #[test]
    fn any_bytes_are_evaluated(
        fields in proptest::collection::vec(
            ("(if-match|if-none-match|if-modified-since|if-unmodified-since|if-range)", "[ -~]{0,20}"), 0..5),
        etag in "[ -~]{0,10}",
    ) {
        let lines: Vec<_> = fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let request = headers(&lines.join("\n"));
        let response = headers(&format!("ETag: {etag}"));
        evaluate(&request, &validators(&response));
        range_applies(&request, &validators(&response));
    }
}
