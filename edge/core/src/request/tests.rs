use proptest::prelude::*;

use super::*;
use crate::fixture::{connection, headers, parts, read, request};

/// The reason of the refusal, or the host and what is sent as Host.
fn check(text: &str, expected: Result<(&str, &str), Reason>) {
    let read = read(text);
    let actual = read.as_ref().map(|request| (request.host.as_str(), request.authority.to_str().unwrap()));
    assert_eq!(actual.map_err(|refusal| refusal.reason), expected, "{text:?}");
}

fn check_reason(text: &str, expected: Option<Reason>) {
    assert_eq!(read(text).err().map(|refusal| refusal.reason), expected, "{text:?}");
}

#[test]
fn host_is_normalised_for_matching_and_kept_as_sent() {
    for (host, name) in [
        ("example.com", "example.com"),
        ("EXAMPLE.com:8080", "example.com"),
        ("example.com.", "example.com"),
        ("example.com.:80", "example.com"),
        ("a_b-c.example", "a_b-c.example"),
        ("192.0.2.1:80", "192.0.2.1"),
        ("[2001:DB8::0:1]:443", "2001:db8::1"),
        ("[::1]", "::1"),
        ("localhost", "localhost"),
    ] {
        check(&format!("GET / HTTP/1.1\nHost: {host}"), Ok((name, host)));
    }
}

#[test]
fn malformed_hosts_are_refused() {
    let long_label = format!("{}.example", "a".repeat(64));
    let long_name = format!("{}example", "a.".repeat(130));
    for host in [
        "",
        "user@example.com",
        "user:password@example.com",
        "exa mple.com",
        "example..com",
        ".example.com",
        "example.com..",
        ".",
        "example.com:",
        "example.com:x",
        "example.com:+80",
        "example.com:65536",
        "example.com:80:80",
        "example.com/path",
        "example.com,example.org",
        "example.com?",
        "example.com#",
        "exa%6dple.com",
        "[::1",
        "[::1]x",
        "[::g]",
        "::1",
        "[192.0.2.1]",
        "1.2.3",
        "1.2.3.4.5",
        "256.0.0.1",
        "0x7f.1",
        "127.0.0.0x1",
        "a\\b",
        "<script>",
        long_label.as_str(),
        long_name.as_str(),
    ] {
        check(&format!("GET / HTTP/1.1\nHost: {host}"), Err(Reason::InvalidHost));
    }
}

#[test]
fn exactly_one_host_is_needed() {
    check("GET / HTTP/1.1", Err(Reason::InvalidHost));
    check("GET / HTTP/1.1\nHost: a.example\nHost: a.example", Err(Reason::InvalidHost));
    check("GET http://a.example/ HTTP/1.1", Err(Reason::InvalidHost));
    check("GET / HTTP/1.0", Ok(("", "")));
    check("GET / HTTP/1.0\nHost:", Ok(("", "")));
    check("GET http://a.example:81/ HTTP/1.0", Ok(("a.example", "a.example:81")));
    check("GET / HTTP/1.0\nHost: a.example\nHost: b.example", Err(Reason::InvalidHost));
    check("GET / HTTP/1.0\nHost: a@b", Err(Reason::InvalidHost));
}

#[test]
fn host_and_request_target_must_agree() {
    check("GET http://a.example/ HTTP/1.1\nHost: A.example", Ok(("a.example", "A.example")));
    check("GET http://a.example/ HTTP/1.1\nHost: b.example", Err(Reason::InvalidHost));
    check("GET http://a.example:81/ HTTP/1.1\nHost: a.example", Err(Reason::InvalidHost));
    check("GET http://u@a.example/ HTTP/1.1\nHost: a.example", Err(Reason::InvalidHost));
    check("GET http://u@a.example/ HTTP/1.1\nHost: u@a.example", Err(Reason::InvalidHost));
    check("GET http://a.example/ HTTP/2", Ok(("a.example", "a.example")));
    check("GET http://a.example/ HTTP/2\nHost: a.example", Ok(("a.example", "a.example")));
    check("GET http://a.example/ HTTP/2\nHost: b.example", Err(Reason::InvalidHost));
    check("GET / HTTP/2\nHost: a.example", Ok(("a.example", "a.example")));
    check("GET / HTTP/2", Err(Reason::InvalidHost));
}

#[test]
fn other_forms_of_request_target_are_refused() {
    check_reason("GET ftp://a.example/ HTTP/1.1\nHost: a.example", Some(Reason::InvalidRequest));
    check_reason("GET a.example HTTP/1.1\nHost: a.example", Some(Reason::InvalidRequest));
    check_reason("GET * HTTP/1.1\nHost: a.example", Some(Reason::InvalidRequest));
    check_reason("OPTIONS * HTTP/1.1\nHost: a.example", None);
}

#[test]
fn paths_that_can_be_understood_in_two_ways_are_refused() {
    for path in [
        "/a/../b",
        "/..",
        "/.",
        "/./",
        "/a/.",
        "/a/..",
        "/../",
        "/%2e",
        "/%2E%2e/a",
        "/.%2e",
        "/a/%2e/",
        "/a%2f..%2fb",
        "/..%2fa",
        "/a%2F%2e%2E",
        "/a%5cb",
        "/%5C",
        "/%00",
        "/a%00.jpg",
        "/%0a",
        "/%0D%0a",
        "/%1f",
        "/%7f",
        "/%09",
        "/%",
        "/a%",
        "/%2",
        "/%zz",
        "/%2g",
        "/a%%20",
        "/a/..;/b",
        "/a/..;x=1;y",
        "/.;",
        "/%2e%2E;/b",
        "/..%3ba/b",
        "/a%2f..;%2fb",
    ] {
        check_reason(&format!("GET {path} HTTP/1.1\nHost: a.example"), Some(Reason::InvalidPath));
    }
    // What the URI type of the HTTP library does not let through anyway.
    assert!(path_problem("/a\\b").is_some());
    assert!(path_problem("/a\tb").is_some());
    assert!(path_problem("/a\u{7f}b").is_some());
    assert!(path_problem("/a b").is_some());
    assert!(path_problem("/ä").is_some());
}

#[test]
fn ordinary_paths_pass_unchanged() {
    for path in [
        "/",
        "/a",
        "/a/",
        "//a",
        "/...",
        "/.a",
        "/a.",
        "/..a",
        "/a..b",
        "/.well-known/x",
        "/%20",
        "/%2f",
        "/%252e%252e/",
        "/%c3%a4",
        "/a;b=c",
        "/..a;b",
        "/a..;b",
        "/...;b",
        "/;../b",
        "/a,b",
        "/%2e.%2e",
        "/~a/(b)!*'$&+=:@",
        "/%3f",
        "/%23",
    ] {
        assert_eq!(request(&format!("GET {path} HTTP/1.1")).path(), path);
    }
    check_reason("GET /a?b=../%00%zz\\ HTTP/1.1\nHost: a.example", None);
}

#[test]
fn sizes_are_limited_as_in_cloudfront() {
    let get = |target: usize| format!("GET /{} HTTP/1.1\nHost: a.example", "a".repeat(target - 1));
    check_reason(&get(8_192), None);
    check_reason(&get(8_193), Some(Reason::UriTooLong));
    check_reason(&get(8_192).replace("HTTP/1.1\nHost: a.example", "HTTP/2\nHost: a.example"), None);
    // `GET / HTTP/1.1`, `Host: a.example` and `X: …`, each with its line end, and the empty line.
    let fixed = 16 + 17 + 5 + 2;
    let head = |length: usize| format!("GET / HTTP/1.1\nHost: a.example\nX: {}", "x".repeat(length - fixed));
    check_reason(&head(32_768), None);
    check_reason(&head(32_769), Some(Reason::HeadTooLarge));
    let fields = |count: usize| format!("GET / HTTP/1.1\nHost: a.example\n{}", "Cookie: a=1\n".repeat(count - 1));
    check_reason(&fields(100), None);
    check_reason(&fields(101), Some(Reason::HeadTooLarge));
    assert_eq!(read(&head(32_769)).unwrap_err().status.as_u16(), 494);
    assert_eq!(read(&get(8_193)).unwrap_err().status.as_u16(), 414);
}

#[test]
fn bodies_are_framed_in_one_way() {
    for (fields, expected) in [
        ("Content-Length: 5", Ok(true)),
        ("Content-Length: 0", Ok(false)),
        ("Content-Length: 000", Ok(false)),
        ("Transfer-Encoding: chunked", Ok(true)),
        ("Transfer-Encoding: CHUNKED", Ok(true)),
        ("", Ok(false)),
        ("Transfer-Encoding: gzip, chunked", Err(Reason::InvalidFraming)),
        ("Transfer-Encoding: chunked, chunked", Err(Reason::InvalidFraming)),
        ("Transfer-Encoding: chunked\nTransfer-Encoding: chunked", Err(Reason::InvalidFraming)),
        ("Transfer-Encoding: identity", Err(Reason::InvalidFraming)),
        ("Transfer-Encoding: xchunked", Err(Reason::InvalidFraming)),
        ("Transfer-Encoding:", Err(Reason::InvalidFraming)),
        ("Transfer-Encoding: chunked\nContent-Length: 5", Err(Reason::InvalidFraming)),
        ("Content-Length: 5\nContent-Length: 5", Err(Reason::InvalidFraming)),
        ("Content-Length: 5, 5", Err(Reason::InvalidFraming)),
        ("Content-Length: +5", Err(Reason::InvalidFraming)),
        ("Content-Length:", Err(Reason::InvalidFraming)),
    ] {
        let read = read(&format!("POST / HTTP/1.1\nHost: a.example\n{fields}"));
        assert!(read.as_ref().err().is_none_or(|refusal| refusal.close), "{fields}");
        assert_eq!(read.map(|request| request.has_body).map_err(|refusal| refusal.reason), expected, "{fields}");
    }
    check_reason("POST / HTTP/1.0\nHost: a.example\nTransfer-Encoding: chunked", Some(Reason::InvalidFraming));
    check_reason("POST http://a.example/ HTTP/2\nTransfer-Encoding: chunked", Some(Reason::InvalidFraming));
}

#[test]
fn get_and_head_have_no_body_and_the_connection_ends() {
    for method in ["GET", "HEAD"] {
        for fields in ["Content-Length: 1", "Transfer-Encoding: chunked"] {
            let refusal = read(&format!("{method} / HTTP/1.1\nHost: a.example\n{fields}")).unwrap_err();
            assert_eq!((refusal.reason, refusal.status.as_u16(), refusal.close), (Reason::BodyNotAllowed, 403, true));
        }
        let head = parts(&format!("{method} http://a.example/ HTTP/2"));
        let refusal = ViewerRequest::read(&connection(Scheme::Https), head, true).unwrap_err();
        assert_eq!(refusal.reason, Reason::BodyNotAllowed);
    }
    check_reason("GET / HTTP/1.1\nHost: a.example\nContent-Length: 0", None);
}

#[test]
fn connect_and_trace_are_not_supported() {
    for text in ["TRACE / HTTP/1.1\nHost: a.example", "CONNECT a.example:443 HTTP/1.1\nHost: a.example:443"] {
        let refusal = read(text).unwrap_err();
        assert_eq!((refusal.reason, refusal.status.as_u16()), (Reason::MethodNotAllowed, 403));
    }
    check_reason("BREW / HTTP/1.1\nHost: a.example", None);
}

#[test]
fn cookie_crumbs_are_joined() {
    let request = request("GET / HTTP/2\nHost: a.example\nCookie: a=1\nX: y\nCookie: b=2; c=3");
    assert_eq!(request.headers, headers("Host: a.example\nCookie: a=1; b=2; c=3\nX: y"));
}

#[test]
fn facts_of_the_connection_are_kept() {
    let head = parts("PUT /a?b HTTP/1.1\nHost: a.example\nContent-Length: 3");
    let request = ViewerRequest::read(&connection(Scheme::Https), head, true).unwrap();
    assert_eq!((request.scheme, request.version, request.method), (Scheme::Https, Version::HTTP_11, Method::PUT));
    assert_eq!((request.uri.path(), request.uri.query(), request.peer.port()), ("/a", Some("b"), 50_000));
}

proptest! {
    #[test]
    fn whatever_passes_has_no_dot_segment_when_decoded(path in "/(a|\\.|/|%2e|%2f|%25|%5c|%00|;){0,8}") {
        if path_problem(&path).is_none() {
            let decoded = path.replace("%2e", ".").replace("%2f", "/");
            let named = |segment: &str| segment.split(';').next().is_some_and(|name| matches!(name, "." | ".."));
            prop_assert!(!decoded.split('/').any(named), "{}", path);
            prop_assert!(!path.contains("%5c") && !path.contains("%00"));
        }
    }

    #[test]
    fn host_names_are_stable_and_clean(text in "[a-zA-Z0-9.\\[\\]:_@-]{0,20}") {
        if let Some(name) = host_name(&text) {
            prop_assert!(!name.bytes().any(|byte| byte.is_ascii_uppercase() || b"[]@".contains(&byte)));
            let again = if name.contains(':') { format!("[{name}]") } else { name.clone() };
            prop_assert_eq!(host_name(&again), Some(name));
        }
    }
}
