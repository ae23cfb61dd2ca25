use std::time::Duration;

use super::*;
use crate::edge_config::CachePolicyConfig;
use crate::fixture::{self, NOON, headers, policy, route_with};

fn identity() -> Identity {
    Identity { zone: HeaderValue::from_static("a"), via: HeaderValue::from_static("1.1 edge-1 (proxima)") }
}

fn answer(identity: &Identity, reason: Reason) -> Answer<'_> {
    Answer {
        identity,
        request_id: "id-1",
        reason,
        handling: Handling { ttl: Some(30), ..Handling::default() },
        now: NOON.plus(Duration::from_millis(30_999)),
    }
}

const HIT: &str = "X-Cache: Hit from proxima\nCache-Status: proxima; hit; ttl=30";
const MARKS: &str = "X-Proxima-Request-Id: id-1\nX-Proxima-Zone: a\nVia: 1.1 edge-1 (proxima)";

fn check_stored(response: &StoredResponse, expected: &str) {
    let head = stored(response, &answer(&identity(), Reason::Hit));
    assert_eq!(head.status(), response.status);
    assert_eq!(head.headers(), &headers(&format!("{expected}\n{MARKS}\n{HIT}")));
}

fn check_fetched(set_cookie: SetCookiePolicy, response: &OriginResponse, expected: &str) {
    let route = route_with(CachePolicyConfig { set_cookie, ..policy() });
    let head = fetched(response, &route, &answer(&identity(), Reason::Miss));
    assert_eq!(head.status(), response.status);
    assert_eq!(
        head.headers(),
        &headers(&format!(
            "{expected}\n{MARKS}\nX-Cache: Miss from proxima\nCache-Status: proxima; fwd=uri-miss; ttl=30"
        ))
    );
}

#[test]
fn a_stored_response_has_age_length_and_marks() {
    let response = StoredResponse {
        initial_age: Duration::from_secs(2),
        ..fixture::stored("ETag: \"a\"\nDate: Sun, 22 Nov 2026 12:00:00 GMT")
    };
    check_stored(&response, "ETag: \"a\"\nDate: Sun, 22 Nov 2026 12:00:00 GMT\nAge: 32\nContent-Length: 5");
}

#[test]
fn our_via_is_behind_the_origins_and_our_marks_replace_foreign_ones() {
    let response = fixture::stored(
        "Via: 1.1 origin\nCache-Status: shield; hit\nX-Cache: Hit from elsewhere\nX-Proxima-Zone: b\nAge: 7",
    );
    let head = stored(&response, &answer(&identity(), Reason::Hit));
    let all = |name| head.headers().get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(all("via"), ["1.1 origin", "1.1 edge-1 (proxima)"]);
    assert_eq!(all("cache-status"), ["shield; hit", "proxima; hit; ttl=30"]);
    assert_eq!((all("x-cache"), all("x-proxima-zone"), all("age")), (vec!["Hit from proxima"], vec!["a"], vec!["30"]));
}

#[test]
fn a_stored_204_has_no_length() {
    let response = StoredResponse { status: StatusCode::NO_CONTENT, body_length: 0, ..fixture::stored("") };
    check_stored(&response, "Age: 30");
}

#[test]
fn every_reason_has_its_word_in_x_cache() {
    for &reason in Reason::ALL {
        let head = stored(&fixture::stored(""), &answer(&identity(), reason));
        assert_eq!(head.headers()["x-cache"], reason.result_type().x_cache());
    }
}

/// RFC 9110 § 15.4.5.
#[test]
fn a_304_has_what_a_cache_needs_and_nothing_of_the_body() {
    let kept = "Cache-Control: max-age=60\nContent-Location: /a\nDate: Sun, 22 Nov 2026 12:00:00 GMT\nETag: \"a\"\n\
                Expires: 0\nVary: Accept\nX-A: 1\nAccess-Control-Allow-Origin: *\nContent-Security-Policy: x";
    let dropped = "Content-Type: text/plain\nContent-Encoding: gzip\nContent-Language: en\nContent-Digest: x\n\
                   Repr-Digest: x\nDigest: x\nContent-MD5: x\nContent-Range: x";
    let modified = "Last-Modified: Sun, 22 Nov 2026 11:00:00 GMT";
    let mut head =
        stored(&fixture::stored(&format!("{kept}\n{dropped}\n{modified}")), &answer(&identity(), Reason::Hit));
    not_modified(&mut head);
    assert_eq!(head.status(), 304);
    assert_eq!(head.headers(), &headers(&format!("{kept}\nAge: 30\n{MARKS}\n{HIT}")));

    let mut head = stored(&fixture::stored(modified), &answer(&identity(), Reason::Hit));
    not_modified(&mut head);
    assert_eq!(head.headers(), &headers(&format!("{modified}\nAge: 30\n{MARKS}\n{HIT}")));
}

/// RFC 9110 § 15.3.7.
#[test]
fn a_206_describes_its_part_and_keeps_the_rest() {
    let kept = "Cache-Control: max-age=60\nDate: Sun, 22 Nov 2026 12:00:00 GMT\nETag: \"a\"\nRepr-Digest: sha-256=:YQ==:\nX-A: 1";
    let replaced = "Content-Type: text/plain\nContent-Range: bytes 0-0/9";
    let digests = "Content-Digest: sha-256=:YQ==:\nContent-MD5: YQ==";
    let response = fixture::stored(&format!("{kept}\n{replaced}\n{digests}"));
    let check = |framing: Framing, expected: &str| {
        let mut head = stored(&response, &answer(&identity(), Reason::Hit));
        partial(&mut head, &Layout { framing, segments: Vec::new(), length: 2 });
        assert_eq!(head.status(), 206);
        let expected = format!("{kept}\n{expected}\nContent-Length: 2\nAge: 30\n{MARKS}\n{HIT}");
        assert_eq!(head.headers(), &headers(&expected));
    };
    let range = HeaderValue::from_static("bytes 1-2/5");
    check(Framing::Single(range), "Content-Type: text/plain\nContent-Range: bytes 1-2/5");
    let multipart = HeaderValue::from_static("multipart/byteranges; boundary=a");
    check(Framing::Multipart(multipart), "Content-Type: multipart/byteranges; boundary=a");
}

#[test]
fn a_fetched_response_keeps_what_the_origin_said() {
    let response = fixture::response(200, "Date: Sun, 22 Nov 2026 11:00:00 GMT\nAge: 7\nX-A: 1\nSet-Cookie: a=1");
    let kept = "Date: Sun, 22 Nov 2026 11:00:00 GMT\nAge: 7\nX-A: 1\nContent-Length: 5";
    check_fetched(SetCookiePolicy::Bypass, &response, &format!("{kept}\nSet-Cookie: a=1"));
    check_fetched(SetCookiePolicy::Store, &response, &format!("{kept}\nSet-Cookie: a=1"));
    check_fetched(SetCookiePolicy::Strip, &response, kept);
}

#[test]
fn a_fetched_response_gets_the_date_of_its_receipt() {
    check_fetched(
        SetCookiePolicy::Bypass,
        &fixture::response(404, ""),
        "Date: Sun, 22 Nov 2026 12:00:00 GMT\nContent-Length: 5",
    );
}

#[test]
fn length_is_announced_only_where_it_is_known_and_allowed() {
    let date = "Date: Sun, 22 Nov 2026 12:00:00 GMT";
    let unknown = OriginResponse { body_length: None, ..fixture::response(200, "") };
    check_fetched(SetCookiePolicy::Bypass, &unknown, date);
    check_fetched(SetCookiePolicy::Bypass, &fixture::response(204, ""), date);
    check_fetched(SetCookiePolicy::Bypass, &fixture::response(304, "ETag: \"a\""), &format!("{date}\nETag: \"a\""));
}

#[test]
fn a_refusal_is_a_page_that_names_reason_and_request() {
    let refusal = Refusal::new(Reason::HostUnknown, "nothing under <this> \"Host\" & so on");
    let response = refused(&refusal, &answer(&identity(), Reason::HostUnknown));
    assert_eq!(response.status(), 403);
    let body = String::from_utf8(response.body().to_vec()).unwrap();
    for part in ["403 Forbidden", "nothing under &lt;this&gt; &quot;Host&quot; &amp; so on", "HostUnknown", "id-1"] {
        assert!(body.contains(part), "{part}: {body}");
    }
    let expected = format!(
        "Content-Type: text/html; charset=utf-8\nContent-Length: {}\nCache-Control: no-store\nServer: proxima\n\
         Date: Sun, 22 Nov 2026 12:00:30 GMT\nX-Proxima-Reason: HostUnknown\nX-Cache: Error from proxima\n\
         Cache-Status: proxima; detail=HostUnknown\n{MARKS}",
        body.len()
    );
    assert_eq!(response.headers(), &headers(&expected));
}

#[test]
fn a_refusal_may_redirect_and_close() {
    let refusal = Refusal {
        location: Some(HeaderValue::from_static("https://a.example/")),
        status: StatusCode::TEMPORARY_REDIRECT,
        ..Refusal::closing(Reason::RedirectToHttps, "this is served over https")
    };
    let response = refused(&refusal, &answer(&identity(), Reason::RedirectToHttps));
    assert_eq!(response.status(), 307);
    assert_eq!(response.headers()[LOCATION], "https://a.example/");
    assert_eq!(response.headers()[CONNECTION], "close");
    assert_eq!(response.headers()["x-cache"], "Redirect from proxima");
}

#[test]
fn statuses_without_a_phrase_have_a_page_too() {
    let refusal = Refusal::new(Reason::HeadTooLarge, "too much");
    let response = refused(&refusal, &answer(&identity(), Reason::HeadTooLarge));
    assert_eq!(response.status().as_u16(), 494);
    assert!(String::from_utf8_lossy(response.body()).contains("494 HeadTooLarge"));
}

#[test]
fn some_responses_have_no_body() {
    for (text, status, expected) in [
        ("GET / HTTP/1.1", 200, true),
        ("GET / HTTP/1.1", 404, true),
        ("GET / HTTP/1.1", 204, false),
        ("GET / HTTP/1.1", 304, false),
        ("HEAD / HTTP/1.1", 200, false),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(has_body(&fixture::request(text), status), expected, "{text} {status}");
    }
}
