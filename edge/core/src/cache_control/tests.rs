use http::HeaderValue;
use proptest::prelude::*;

use super::*;
use crate::fixture::headers;

fn check(values: &[&str], expected: CacheControl) {
    let lines: Vec<String> = values.iter().map(|value| format!("Cache-Control: {value}")).collect();
    assert_eq!(CacheControl::parse(&headers(&lines.join("\n"))), expected, "{values:?}");
}

const NOTHING: CacheControl = CacheControl {
    max_age: None,
    s_maxage: None,
    no_store: false,
    no_cache: false,
    private: false,
    public: false,
    must_revalidate: false,
    proxy_revalidate: false,
    only_if_cached: false,
    stale_while_revalidate: None,
    stale_if_error: None,
    must_understand: false,
    immutable: false,
    targeted: false,
    min_fresh: None,
    max_stale: None,
};

#[test]
fn every_directive_is_read() {
    check(&[], NOTHING);
    check(&["max-age=60"], CacheControl { max_age: Some(60), ..NOTHING });
    check(&["s-maxage=60"], CacheControl { s_maxage: Some(60), ..NOTHING });
    check(&["no-store"], CacheControl { no_store: true, ..NOTHING });
    check(&["no-cache"], CacheControl { no_cache: true, ..NOTHING });
    check(&["private"], CacheControl { private: true, ..NOTHING });
    check(&["public"], CacheControl { public: true, ..NOTHING });
    check(&["must-revalidate"], CacheControl { must_revalidate: true, ..NOTHING });
    check(&["proxy-revalidate"], CacheControl { proxy_revalidate: true, ..NOTHING });
    check(&["only-if-cached"], CacheControl { only_if_cached: true, ..NOTHING });
    check(&["must-understand"], CacheControl { must_understand: true, ..NOTHING });
    check(&["immutable"], CacheControl { immutable: true, ..NOTHING });
    check(&["stale-while-revalidate=60"], CacheControl { stale_while_revalidate: Some(60), ..NOTHING });
    check(&["stale-if-error=60"], CacheControl { stale_if_error: Some(60), ..NOTHING });
    check(&["min-fresh=60"], CacheControl { min_fresh: Some(60), ..NOTHING });
    check(&["max-stale=60"], CacheControl { max_stale: Some(60), ..NOTHING });
    check(&["max-stale"], CacheControl { max_stale: Some(1 << 31), ..NOTHING });
}

#[test]
fn lists_may_be_spread_over_lines_in_any_case_and_spacing() {
    let both = CacheControl { public: true, max_age: Some(5), ..NOTHING };
    check(&["public, max-age=5"], both);
    check(&["public,max-age=5"], both);
    check(&["PUBLIC ,\tMax-Age=5 "], both);
    check(&["public", "max-age=5"], both);
    check(&[",, public,, ,max-age=5,"], both);
}

#[test]
fn unknown_and_malformed_directives_are_skipped() {
    let five = CacheControl { max_age: Some(5), ..NOTHING };
    check(&["extension, max-age=5"], five);
    check(&["=, max-age=5"], five);
    check(&["foo=\"a, no-store\", max-age=5"], five);
    check(&["foo=\"a\\\", no-store\", max-age=5"], five);
    check(&["foo=\"a\"no-store, max-age=5"], five);
    check(&["xmax-age=9, max-agex=9, max-age=5"], five);
}

#[test]
fn an_unclosed_quote_names_nothing_and_hides_nothing() {
    check(&["foo=\"never closed, no-store"], CacheControl { no_store: true, ..NOTHING });
    let private = CacheControl { max_age: Some(60), private: true, ..NOTHING };
    check(&["max-age=60, private=\"set-cookie, x-user"], private);
    check(&["private=\"set-cookie\\\", max-age=60"], private);
    check(&["private=\"", "max-age=60"], private);
    check(&["max-age=\"60, no-cache"], CacheControl { max_age: Some(0), no_cache: true, ..NOTHING });
    check(&["max-stale=\"5"], CacheControl { max_stale: Some(0), ..NOTHING });
}

#[test]
fn lifetimes_that_cannot_be_read_count_as_zero() {
    for value in [
        "max-age",
        "max-age=",
        "max-age=-5",
        "max-age=1.5",
        "max-age=5s",
        "max-age=0x5",
        "max-age=+5",
        "max-age='60'",
        "max-age=5 6",
    ] {
        check(&[value], CacheControl { max_age: Some(0), ..NOTHING });
    }
}

#[test]
fn lifetimes_may_be_quoted() {
    check(&["max-age=\"60\""], CacheControl { max_age: Some(60), ..NOTHING });
    check(&["max-age=\"6\\0\", s-maxage=\"\""], CacheControl { max_age: Some(60), s_maxage: Some(0), ..NOTHING });
}

#[test]
fn lifetimes_saturate() {
    for value in ["max-age=2147483648", "max-age=2147483649", "max-age=99999999999999999999999999999999999999"] {
        check(&[value], CacheControl { max_age: Some(1 << 31), ..NOTHING });
    }
    check(&["max-age=2147483647"], CacheControl { max_age: Some(2_147_483_647), ..NOTHING });
    check(&["max-age=000000000000000000000000000000000005"], CacheControl { max_age: Some(5), ..NOTHING });
}

#[test]
fn of_repeated_lifetimes_the_first_counts() {
    check(&["max-age=5, max-age=60"], CacheControl { max_age: Some(5), ..NOTHING });
    check(&["max-age=60", "max-age=5"], CacheControl { max_age: Some(60), ..NOTHING });
    check(&["max-age=x, max-age=60"], CacheControl { max_age: Some(0), ..NOTHING });
}

#[test]
fn named_fields_do_not_make_a_directive_general() {
    check(&["no-cache=\"Set-Cookie\""], NOTHING);
    check(&["private=\"X-User, X-Cart\""], NOTHING);
    check(&["no-cache=Set-Cookie"], NOTHING);
    check(&["no-cache=\"Set-Cookie\", no-cache"], CacheControl { no_cache: true, ..NOTHING });
    check(&["no-cache=\"\""], CacheControl { no_cache: true, ..NOTHING });
    check(&["private="], CacheControl { private: true, ..NOTHING });
}

#[test]
fn a_field_without_which_the_body_is_another_makes_a_directive_general() {
    for field in ["Content-Encoding", "content-type", "Content-Range", "vary"] {
        let lines = format!("Cache-Control: private=\"x-a, {field}\", no-cache=\"{field}\"");
        check(&[&lines["Cache-Control: ".len()..]], CacheControl { private: true, no_cache: true, ..NOTHING });
        assert_eq!(withheld_fields(&headers(&lines)), ["x-a"]);
    }
    check_targeted(
        "CDN-Cache-Control: private=content-encoding",
        CacheControl { private: true, targeted: true, ..NOTHING },
    );
}

#[test]
fn withheld_fields_are_named() {
    let lines = "Cache-Control: no-cache=\"Set-Cookie, X-A\"\nCache-Control: max-age=5, private=\"x-b,,bad name\"";
    assert_eq!(withheld_fields(&headers(lines)), ["set-cookie", "x-a", "x-b"]);
    assert!(withheld_fields(&headers("Cache-Control: no-cache, private, max-age=\"x\"")).is_empty());
}

/// What counts for this cache, and which fields are withheld.
fn check_targeted(fields: &str, expected: CacheControl) {
    assert_eq!(CacheControl::of_response(&headers(fields)), expected, "{fields}");
}

#[test]
fn a_field_addressed_to_cdns_replaces_cache_control() {
    // RFC 9213 § 2.2.
    let sixty = CacheControl { max_age: Some(60), targeted: true, ..NOTHING };
    check_targeted("CDN-Cache-Control: max-age=60\nCache-Control: no-store", sixty);
    check_targeted("Cache-Control: private, max-age=5\nCDN-Cache-Control: max-age=60", sixty);
    check_targeted("Proxima-CDN-Cache-Control: max-age=60\nCDN-Cache-Control: max-age=5, no-store", sixty);
    check_targeted("CDN-Cache-Control: max-age=5\nProxima-CDN-Cache-Control: max-age=60", sixty);
    check_targeted("CDN-Cache-Control: max-age=5;x=1, max-age=60;y", sixty);
    check_targeted("CDN-Cache-Control: max-age=60, no-store=?0, extension=\"x\"", sixty);
    check_targeted(
        "CDN-Cache-Control: no-store, must-revalidate=?1",
        CacheControl { no_store: true, must_revalidate: true, targeted: true, ..NOTHING },
    );
    check_targeted("Other-CDN-Cache-Control: max-age=60", NOTHING);
}

#[test]
fn a_field_addressed_to_cdns_that_is_no_dictionary_is_ignored() {
    // RFC 9213 § 2.2: "as if the field were not present".
    let five = CacheControl { max_age: Some(5), ..NOTHING };
    for value in ["", "max-age=60, &", "Max-Age=60", "max-age=", "max-age=60,", "max-age = 60", "max-age=60 no-store"] {
        check_targeted(&format!("CDN-Cache-Control: {value}\nCache-Control: max-age=5"), five);
    }
    check_targeted("CDN-Cache-Control: max-age=60\nCDN-Cache-Control: &\nCache-Control: max-age=5", five);
    let next = CacheControl { max_age: Some(5), targeted: true, ..NOTHING };
    check_targeted("Proxima-CDN-Cache-Control: &\nCDN-Cache-Control: max-age=5\nCache-Control: no-store", next);
}

#[test]
fn a_targeted_lifetime_of_another_type_counts_as_zero() {
    for value in
        ["max-age=\"60\"", "max-age=60.5", "max-age=a60", "max-age", "max-age=-5", "max-age=(60)", "max-age=@60"]
    {
        check_targeted(
            &format!("CDN-Cache-Control: {value}"),
            CacheControl { max_age: Some(0), targeted: true, ..NOTHING },
        );
    }
}

#[test]
fn withheld_fields_are_those_of_the_field_that_counts() {
    let lines = "CDN-Cache-Control: no-cache=\"x-a, x-b\", private=X-C\nCache-Control: private=\"x-d\"";
    assert_eq!(withheld_fields(&headers(lines)), ["x-a", "x-b", "x-c"]);
    assert_eq!(CacheControl::of_response(&headers(lines)), CacheControl { targeted: true, ..NOTHING });
    let invalid = "CDN-Cache-Control: no-cache=&\nCache-Control: private=\"x-d\"";
    assert_eq!(withheld_fields(&headers(invalid)), ["x-d"]);
}

#[test]
fn must_understand_lifts_no_store_for_statuses_that_are_understood() {
    // RFC 9111 § 5.2.2.3.
    let status = |code| StatusCode::from_u16(code).unwrap();
    let both = CacheControl { no_store: true, must_understand: true, ..NOTHING };
    for (code, understood) in [(200, true), (404, true), (308, true), (206, false), (299, false), (599, false)] {
        assert_eq!(both.forbids_storing(status(code)), !understood, "{code}");
        assert!(CacheControl { no_store: true, ..NOTHING }.forbids_storing(status(code)));
        assert!(!CacheControl { must_understand: true, ..NOTHING }.forbids_storing(status(code)));
    }
}

proptest! {
    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(value) = HeaderValue::from_bytes(&bytes) {
            let headers = HeaderMap::from_iter([(CACHE_CONTROL, value)]);
            CacheControl::parse(&headers);
            withheld_fields(&headers);
        }
    }

    #[test]
    fn what_was_written_is_read(age in 0..=1_u64 << 31, shared in 0..=1_u64 << 31, no_store: bool) {
        let store = if no_store { ", no-store" } else { "" };
        let text = format!("Cache-Control: max-age={age}, s-maxage=\"{shared}\"{store}");
        let expected = CacheControl { max_age: Some(age), s_maxage: Some(shared), no_store, ..NOTHING };
        prop_assert_eq!(CacheControl::parse(&headers(&text)), expected);
    }
}
