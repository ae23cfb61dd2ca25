use std::time::Duration;

use http::Method;
use http::header::{AGE, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, VIA};

use super::*;
use crate::edge_config::CachePolicyConfig;
use crate::fixture::{NOON, origin_controlled, request, response, route_with};
use crate::origin_request::Purpose;
use crate::timestamp::Timestamp;

const MODIFIED: &str = "Last-Modified: Sun, 22 Nov 2026 11:00:00 GMT";

fn asked(route: &Route, fields: &str) -> OriginRequest {
    route.origin_request(&request(&format!("GET / HTTP/1.1\n{fields}")), Purpose::Fill)
}

/// What is kept of a 200 with these fields, under OriginControlled.
fn kept(route: &Route, fields: &str) -> StoredResponse {
    route.storable(&asked(route, ""), &response(200, fields), 3).unwrap()
}

/// A head that came a minute after noon.
fn later(status: u16, fields: &str) -> OriginResponse {
    let moved = |at: Timestamp| at.plus(Duration::from_secs(60));
    let head = response(status, fields);
    OriginResponse {
        requested_at: moved(head.requested_at),
        received_at: moved(head.received_at),
        body_length: None,
        ..head
    }
}

/// The stored fields after a 304 with these.
fn confirmed(stored: &str, fields: &str) -> StoredResponse {
    let route = route_with(origin_controlled());
    match route.confirm(&kept(&route, stored), &asked(&route, ""), &later(304, fields), 7) {
        Confirmed::Kept(head) => *head,
        other => unreachable!("{other:?}"),
    }
}

fn conditions(stored: &str) -> [Option<String>; 2] {
    let route = route_with(origin_controlled());
    let mut outgoing = asked(&route, "If-None-Match: \"viewer\"\nIf-Modified-Since: Sun, 22 Nov 2026 10:00:00 GMT");
    make_conditional(&mut outgoing, &kept(&route, &format!("Cache-Control: max-age=5\n{stored}")));
    [IF_NONE_MATCH, IF_MODIFIED_SINCE]
        .map(|name| outgoing.headers.get(name).map(|value| value.to_str().unwrap().to_owned()))
}

#[test]
fn the_origin_is_asked_by_every_validator_there_is_and_not_by_the_viewers() {
    // RFC 9111 § 4.3.1.
    let date = Some("Sun, 22 Nov 2026 11:00:00 GMT".to_owned());
    assert_eq!(conditions("ETag: \"a\""), [Some("\"a\"".to_owned()), None]);
    assert_eq!(conditions("ETag: W/\"a\""), [Some("W/\"a\"".to_owned()), None]);
    assert_eq!(conditions(MODIFIED), [None, date.clone()]);
    assert_eq!(conditions(&format!("ETag: \"a\"\n{MODIFIED}")), [Some("\"a\"".to_owned()), date]);
    assert_eq!(conditions("Last-Modified: yesterday"), [None, None]);
    assert_eq!(conditions(""), [None, None]);
}

#[test]
fn a_304_makes_the_response_fresh_again() {
    // RFC 9111 § 4.3.4: age and lifetime are those of the 304.
    let stored = "Cache-Control: max-age=5\nETag: \"a\"\nX-A: 1\nDate: Sun, 22 Nov 2026 11:59:58 GMT";
    let head = confirmed(stored, "Cache-Control: max-age=50\nAge: 4\nDate: Sun, 22 Nov 2026 12:01:00 GMT");
    assert_eq!(head.cache_control.max_age, Some(50));
    assert_eq!(head.initial_age, Duration::from_millis(4_500));
    assert_eq!((head.received_at, head.epoch, head.body_length), (NOON.plus(Duration::from_secs(60)), 7, 5));
    assert_eq!(head.headers[DATE], "Sun, 22 Nov 2026 12:01:00 GMT");
    assert_eq!(
        (&head.headers["x-a"], &head.headers[ETAG], head.status),
        (&"1".parse().unwrap(), &"\"a\"".parse().unwrap(), StatusCode::OK)
    );
    // Without fields of its own it renews what was said before.
    let head = confirmed(stored, "");
    assert_eq!((head.cache_control.max_age, head.initial_age), (Some(5), Duration::from_millis(500)));
    assert_eq!(head.headers[DATE], "Sun, 22 Nov 2026 12:01:00 GMT");
}

#[test]
fn a_304_replaces_fields_whole_but_not_those_that_describe_the_stored_bytes() {
    // RFC 9111 § 3.2.
    let stored = "Cache-Control: max-age=5\nETag: \"a\"\nX-A: 1\nX-A: 2\nX-B: 3\nContent-Encoding: gzip\n\
                  Content-Type: text/plain\nContent-MD5: m\nVia: 1.1 other";
    let head = confirmed(
        stored,
        "X-A: 8\nX-C: 9\nX-C: 10\nContent-Encoding: br\nContent-Length: 99\nContent-Range: bytes 0-1/2\nContent-MD5: n\n\
         Content-Digest: d\nRepr-Digest: e\nETag: \"other\"\nContent-Type: text/html",
    );
    let all = |name: &str| head.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
    assert_eq!((all("x-a"), all("x-b"), all("x-c")), (vec!["8"], vec!["3"], vec!["9", "10"]));
    assert_eq!((all("content-encoding"), all("content-md5"), all("etag")), (vec!["gzip"], vec!["m"], vec!["\"a\""]));
    assert_eq!((all("content-range"), all("content-digest"), all("repr-digest")), (vec![], vec![], vec![]));
    assert_eq!(head.headers[CONTENT_TYPE], "text/html");
    assert_eq!((&head.headers[VIA], head.headers[AGE].is_empty()), (&"1.1 other".parse().unwrap(), true));
    assert!(head.headers[CONTENT_LENGTH].is_empty(), "only its place is kept");
}

#[test]
fn a_304_of_another_representation_changes_nothing() {
    let route = route_with(origin_controlled());
    let both = kept(&route, &format!("Cache-Control: max-age=5\nETag: \"a\"\n{MODIFIED}"));
    let judge = |fields: &str| route.confirm(&both, &asked(&route, ""), &later(304, fields), 7);
    assert!(matches!(judge("ETag: \"b\""), Confirmed::Other));
    assert!(matches!(judge("ETag: \"a\""), Confirmed::Kept(_)));
    assert!(matches!(judge("ETag: W/\"a\""), Confirmed::Kept(_)));
    assert!(matches!(judge(""), Confirmed::Kept(_)));
    // The date counts only where no tag does.
    let another = "Last-Modified: Sun, 22 Nov 2026 11:30:00 GMT";
    assert!(matches!(judge(another), Confirmed::Other));
    assert!(matches!(judge(MODIFIED), Confirmed::Kept(_)));
    assert!(matches!(judge("Last-Modified: yesterday"), Confirmed::Kept(_)));
    assert!(matches!(judge(&format!("{another}\nETag: \"a\"")), Confirmed::Kept(_)));
    assert!(matches!(judge("Vary: Accept"), Confirmed::Other), "it would have another key");
    let many: Vec<_> = (0..=limits::ORIGIN_HEADERS).map(|number| format!("X-{number}: 1")).collect();
    assert!(matches!(judge(&many[1..].join("\n")), Confirmed::Other), "with what was stored these are too many");
    assert!(!matches!(judge(&many[..100].join("\n")), Confirmed::Other));
}

#[test]
fn a_304_of_another_date_is_of_another_representation_where_the_origin_was_asked_by_it() {
    let route = route_with(origin_controlled());
    let judge = |stored: &str, fields: &str| {
        let stored = kept(&route, &format!("Cache-Control: max-age=5\n{stored}"));
        route.confirm(&stored, &asked(&route, ""), &later(304, fields), 7)
    };
    let another = "Last-Modified: Sun, 22 Nov 2026 10:30:00 GMT";
    assert!(matches!(judge(MODIFIED, another), Confirmed::Other));
    assert!(matches!(judge(MODIFIED, &format!("{another}\nETag: \"b\"")), Confirmed::Other));
    assert!(matches!(judge(MODIFIED, "Last-Modified: Sunday, 22-Nov-26 11:00:00 GMT"), Confirmed::Kept(_)));
    assert!(matches!(judge(MODIFIED, "ETag: \"b\""), Confirmed::Kept(_)));
    assert!(matches!(judge("ETag: \"a\"", another), Confirmed::Kept(_)), "it was asked by its tag alone");
}

#[test]
fn a_304_that_forbids_storing_is_for_one_viewer() {
    let route = route_with(origin_controlled());
    let stored = kept(&route, "Cache-Control: max-age=5\nETag: \"a\"");
    for (directive, expected) in [("no-store", NotStored::NoStore), ("private", NotStored::Private)] {
        let fields = format!("Cache-Control: {directive}");
        match route.confirm(&stored, &asked(&route, ""), &later(304, &fields), 7) {
            Confirmed::Unshared(head, why) => {
                assert_eq!(why, expected);
                assert_eq!(head.headers[CACHE_CONTROL], directive);
                assert_eq!(head.headers[DATE], "Sun, 22 Nov 2026 12:01:00 GMT");
            }
            other => unreachable!("{other:?}"),
        }
    }
    let credentials = asked(&route, "Authorization: x");
    let verdict = route.confirm(&stored, &credentials, &later(304, ""), 7);
    assert!(matches!(verdict, Confirmed::Unshared(_, NotStored::UnkeyedCredentials)), "{verdict:?}");
}

#[test]
fn cookies_of_a_304_are_kept_only_where_cookies_are() {
    for (set_cookie, expected) in
        [(SetCookiePolicy::Store, true), (SetCookiePolicy::Strip, false), (SetCookiePolicy::Bypass, false)]
    {
        let route = route_with(CachePolicyConfig { set_cookie, ..origin_controlled() });
        let stored = kept(&route, "Cache-Control: max-age=5\nETag: \"a\"");
        let not_modified = later(304, "Set-Cookie: a=1\nSet-Cookie: b=2");
        match route.confirm(&stored, &asked(&route, ""), &not_modified, 7) {
            Confirmed::Kept(head) => {
                assert_eq!(head.headers.contains_key(SET_COOKIE), expected, "{set_cookie:?}");
                let own = route.with_own_cookies(&head, &not_modified);
                assert_eq!(own.is_some(), set_cookie == SetCookiePolicy::Bypass, "the viewer who asked gets them");
                assert!(own.is_none_or(|own| own.headers.get_all(SET_COOKIE).iter().count() == 2));
            }
            other => unreachable!("{other:?}"),
        }
    }
}

#[test]
fn what_makes_it_private_brings_its_viewer_his_cookie() {
    let route = route_with(origin_controlled());
    let stored = kept(&route, "Cache-Control: max-age=5\nETag: \"a\"");
    assert!(route.with_own_cookies(&stored, &later(304, "")).is_none(), "there is none");
    let not_modified = later(304, "Cache-Control: private\nSet-Cookie: a=1");
    match route.confirm(&stored, &asked(&route, ""), &not_modified, 7) {
        Confirmed::Unshared(head, NotStored::Private) => assert_eq!(head.headers[SET_COOKIE], "a=1"),
        other => unreachable!("{other:?}"),
    }
}

/// What a HEAD makes of a stored 200 with an ETag `"a"`, a date and 5 bytes.
fn head(status: u16, length: Option<u64>, fields: &str) -> HeadVerdict {
    let route = route_with(origin_controlled());
    let stored = kept(&route, &format!("Cache-Control: max-age=5\nETag: \"a\"\nX-A: 1\n{MODIFIED}"));
    let outgoing = OriginRequest { method: Method::HEAD, ..asked(&route, "") };
    route.updated_by_head(&stored, &outgoing, &OriginResponse { body_length: length, ..later(status, fields) }, 7)
}

#[test]
fn a_head_renews_what_it_agrees_with() {
    // RFC 9111 § 4.3.5.
    for fields in ["", "ETag: \"a\"", MODIFIED] {
        match head(200, Some(5), &format!("{fields}\nCache-Control: max-age=50\nX-A: 2")) {
            HeadVerdict::Kept(kept) => {
                assert_eq!((kept.cache_control.max_age, &kept.headers["x-a"]), (Some(50), &"2".parse().unwrap()));
                assert_eq!(kept.received_at, NOON.plus(Duration::from_secs(60)));
            }
            other => unreachable!("{fields}: {other:?}"),
        }
    }
    // No field of it disagrees, and the RFC asks for no more.
    assert!(matches!(head(200, None, "Cache-Control: max-age=50"), HeadVerdict::Kept(_)));
}

#[test]
fn a_head_that_disagrees_makes_the_stored_response_forgotten() {
    assert!(matches!(head(200, Some(6), ""), HeadVerdict::Forgotten));
    assert!(matches!(head(200, Some(5), "ETag: \"b\""), HeadVerdict::Forgotten));
    assert!(matches!(head(200, Some(5), "Last-Modified: Sun, 22 Nov 2026 11:30:00 GMT"), HeadVerdict::Forgotten));
    assert!(matches!(head(200, None, "Content-Encoding: gzip"), HeadVerdict::Forgotten));
    assert!(matches!(head(200, None, "Cache-Control: no-store"), HeadVerdict::Forgotten));
}

#[test]
fn a_head_under_credentials_speaks_for_others_only_where_they_may_have_it() {
    let judge = |credentials: &str, fields: &str| {
        let route = route_with(origin_controlled());
        let stored = kept(&route, "Cache-Control: max-age=5\nETag: \"a\"");
        let outgoing = OriginRequest { method: Method::HEAD, ..asked(&route, credentials) };
        route.updated_by_head(&stored, &outgoing, &later(200, fields), 7)
    };
    for directives in ["private", "no-store", "private, must-revalidate"] {
        for more in ["", "\nETag: \"b\"", "\nSet-Cookie: a=1"] {
            let fields = format!("Cache-Control: {directives}{more}");
            assert!(matches!(judge("Cookie: session=1", &fields), HeadVerdict::Untouched), "{fields}");
            assert!(matches!(judge("Authorization: x", &fields), HeadVerdict::Untouched), "{fields}");
            assert!(matches!(judge("", &fields), HeadVerdict::Forgotten), "{fields}");
        }
    }
    assert!(matches!(judge("Authorization: x", "ETag: \"b\""), HeadVerdict::Untouched));
    assert!(matches!(judge("Authorization: x", "Cache-Control: public, max-age=5"), HeadVerdict::Kept(_)));
    let changed = "Cache-Control: public, max-age=5\nETag: \"b\"";
    assert!(matches!(judge("Authorization: x", changed), HeadVerdict::Forgotten), "it is public, and another");
}

#[test]
fn other_statuses_of_a_head_say_nothing() {
    for status in [204, 206, 304, 404, 410, 500] {
        assert!(matches!(head(status, None, "Cache-Control: no-store"), HeadVerdict::Untouched), "{status}");
    }
}
