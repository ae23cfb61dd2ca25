use proptest::prelude::*;

use super::*;
use crate::fixture::headers;

fn some(names: &[&str]) -> Selection {
    Selection::Some(names.iter().map(|&name| name.to_owned()).collect())
}

fn except(names: &[&str]) -> Selection {
    Selection::AllExcept(names.iter().map(|&name| name.to_owned()).collect())
}

fn check_query(selection: &Selection, text: Option<&str>, expected: Option<&str>) {
    assert_eq!(query(selection, text).as_deref(), expected, "{selection:?} {text:?}");
}

fn check_cookies(selection: &Selection, text: &str, expected: Option<&str>) {
    let headers = headers(&format!("Cookie: {text}"));
    assert_eq!(cookies(selection, &headers).as_deref(), expected, "{selection:?} {text:?}");
}

#[test]
fn all_of_a_query_is_kept_as_sent() {
    for text in ["", "a", "a=1&b=2", "b=2&a=1", "a=1&&a=%31&", "a;b", "?"] {
        check_query(&Selection::All, Some(text), Some(text));
        check_query(&Selection::None, Some(text), None);
    }
    check_query(&Selection::All, None, None);
    check_query(&some(&["a"]), None, None);
}

#[test]
fn named_parameters_keep_order_case_and_bytes() {
    let selection = some(&["a", "B"]);
    for (text, expected) in [
        ("a=1&b=2&B=3", Some("a=1&B=3")),
        ("B=3&a=1", Some("B=3&a=1")),
        ("a=1&x=2&a=3&a", Some("a=1&a=3&a")),
        ("a=%41+b&c", Some("a=%41+b")),
        ("a", Some("a")),
        ("a=", Some("a=")),
        ("a=b=c", Some("a=b=c")),
        ("A=1&%61=2&aa=3&a;x=1", None),
        ("", None),
        ("&&", None),
        ("=a", None),
    ] {
        check_query(&selection, Some(text), expected);
    }
}

#[test]
fn all_parameters_but_those_named_are_kept() {
    let selection = except(&["utm_source", "b"]);
    for (text, expected) in [
        ("a=1&utm_source=x&c=3", Some("a=1&c=3")),
        ("utm_source=x&b", None),
        ("c=3&a=1", Some("c=3&a=1")),
        ("UTM_source=x", Some("UTM_source=x")),
        ("a&&c", Some("a&&c")),
        ("", Some("")),
    ] {
        check_query(&selection, Some(text), expected);
    }
}

#[test]
fn cookies_are_selected_and_sorted_by_name() {
    check_cookies(&Selection::All, "b=2; a=1;c=3", Some("a=1; b=2; c=3"));
    check_cookies(&Selection::All, "a=2; a=1", Some("a=2; a=1"));
    check_cookies(&Selection::All, "a=x=y; b=\"q\"", Some("a=x=y; b=\"q\""));
    check_cookies(&some(&["a", "C"]), "b=2; C=3; c=4; a=1", Some("C=3; a=1"));
    check_cookies(&except(&["a"]), "b=2; a=1; A=3", Some("A=3; b=2"));
    check_cookies(&some(&["x"]), "a=1", None);
    check_cookies(&Selection::None, "a=1", None);
    check_cookies(&Selection::All, "", None);
}

#[test]
fn dollar_names_are_dropped_and_malformed_cookies_are_not_forwarded() {
    check_cookies(&Selection::All, "$Version=1; a=1; $Path=/", Some("a=1"));
    check_cookies(&Selection::All, "$Version=1", None);
    check_cookies(&Selection::All, "a=1; b", None);
    check_cookies(&Selection::All, "a=1; =2", None);
    check_cookies(&Selection::All, "a=1; ; b=2;", Some("a=1; b=2"));
}

#[test]
fn a_whole_field_is_keyed_only_when_each_cookie_is() {
    for (selection, text, expected) in [
        (Selection::All, "a=1; b=2", true),
        (Selection::All, "a=1; $Path=/", false),
        (Selection::All, "a=1; b", false),
        (some(&["a", "b"]), "b=2; a=1", true),
        (some(&["a"]), "a=1; b=2", false),
        (except(&["b"]), "a=1; b=2", false),
        (except(&["b"]), "a=1", true),
        (Selection::None, "a=1", false),
    ] {
        let field = HeaderValue::from_str(text).unwrap();
        assert_eq!(selects_every_cookie(&selection, &field), expected, "{selection:?} {text}");
    }
}

proptest! {
    #[test]
    fn some_and_all_except_divide_a_query(text in "[ab=&]{0,12}") {
        let count = |selection| query(&selection, Some(&text)).map_or(0, |kept| kept.split('&').count());
        let whole = text.split('&').count();
        prop_assert_eq!(count(some(&["a"])) + count(except(&["a"])), whole);
    }

    #[test]
    fn selection_never_panics(text in "\\PC{0,30}") {
        if let Ok(value) = HeaderValue::from_str(&text) {
            cookies(&except(&["a"]), &HeaderMap::from_iter([(COOKIE, value)]));
        }
        query(&some(&["a"]), Some(&text));
    }
}
