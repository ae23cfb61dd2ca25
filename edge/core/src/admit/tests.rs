use super::*;
use crate::fixture::{method, request, route};

/// Status and location of the refusal.
type Refused = Option<(u16, Option<&'static str>)>;

fn admit(route: &Route, request: &ViewerRequest) -> Option<(u16, Option<String>)> {
    route.admit(request).err().map(|refusal| {
        let location = refusal.location.map(|location| location.to_str().unwrap().to_owned());
        (refusal.status.as_u16(), location)
    })
}

fn check_protocol(policy: ViewerProtocolPolicy, scheme: Scheme, text: &str, expected: Refused) {
    let route = route(|distribution| {
        distribution.default_behavior.viewer_protocol_policy = policy;
        distribution.default_behavior.allowed_methods = AllowedMethods::All;
    });
    let request = ViewerRequest { scheme, ..request(text) };
    let expected = expected.map(|(status, location)| (status, location.map(str::to_owned)));
    assert_eq!(admit(&route, &request), expected, "{policy:?} {scheme:?} {text}");
}

#[test]
fn viewer_protocol_policy_decides_about_http() {
    use Scheme::{Http, Https};
    use ViewerProtocolPolicy::{AllowAll, HttpsOnly, RedirectToHttps};
    let to = Some("https://shop.example.com/a?b");
    for method in ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"] {
        let read = matches!(method, "GET" | "HEAD");
        for version in ["HTTP/1.0", "HTTP/1.1", "HTTP/2"] {
            let text = format!("{method} /a?b {version}");
            let redirect = match (read, version) {
                (true, _) => (301, to),
                (false, "HTTP/1.0") => (403, None),
                (false, _) => (307, to),
            };
            for policy in [AllowAll, HttpsOnly, RedirectToHttps] {
                check_protocol(policy, Https, &text, None);
            }
            check_protocol(AllowAll, Http, &text, None);
            check_protocol(HttpsOnly, Http, &text, Some((403, None)));
            check_protocol(RedirectToHttps, Http, &text, Some(redirect));
        }
    }
}

#[test]
fn redirect_keeps_raw_path_and_query_and_drops_the_port() {
    for (text, location) in [
        ("GET /a%20b//c?d=%26&d HTTP/1.1\nHost: A.example:8080", "https://a.example/a%20b//c?d=%26&d"),
        ("GET / HTTP/1.1\nHost: a.example", "https://a.example/"),
        ("GET /? HTTP/1.1\nHost: [::1]:8080", "https://[::1]/?"),
        ("GET http://a.example/x HTTP/1.1\nHost: a.example", "https://a.example/x"),
        ("GET http://a.example?x HTTP/1.1\nHost: a.example", "https://a.example/?x"),
        ("GET //evil.example HTTP/1.1\nHost: a.example", "https://a.example//evil.example"),
    ] {
        check_protocol(ViewerProtocolPolicy::RedirectToHttps, Scheme::Http, text, Some((301, Some(location))));
    }
}

#[test]
fn without_a_host_there_is_no_redirect() {
    check_protocol(ViewerProtocolPolicy::RedirectToHttps, Scheme::Http, "GET / HTTP/1.0\nHost:", Some((403, None)));
    check_protocol(ViewerProtocolPolicy::RedirectToHttps, Scheme::Http, "OPTIONS * HTTP/1.1", Some((403, None)));
}

#[test]
fn allowed_methods_decide_about_the_method() {
    use AllowedMethods::{All, Any, GetHead, GetHeadOptions};
    for (name, allowed_by) in [
        ("GET", &[GetHead, GetHeadOptions, All, Any][..]),
        ("HEAD", &[GetHead, GetHeadOptions, All, Any]),
        ("OPTIONS", &[GetHeadOptions, All, Any]),
        ("PUT", &[All, Any]),
        ("POST", &[All, Any]),
        ("PATCH", &[All, Any]),
        ("DELETE", &[All, Any]),
        ("PROPFIND", &[Any]),
        ("get", &[Any]),
        ("TRACE", &[]),
        ("CONNECT", &[]),
    ] {
        for allowed in [GetHead, GetHeadOptions, All, Any] {
            let route = route(|distribution| distribution.default_behavior.allowed_methods = allowed);
            let request = ViewerRequest { method: method(name), ..request("GET / HTTP/1.1") };
            let expected = (!allowed_by.contains(&allowed)).then_some(Reason::MethodNotAllowed);
            assert_eq!(route.admit(&request).err().map(|refusal| refusal.reason), expected, "{name} {allowed:?}");
        }
    }
}

#[test]
fn options_that_may_go_no_further_is_answered_here() {
    // RFC 9110 § 7.6.2.
    let route =
        crate::fixture::route(|distribution| distribution.default_behavior.allowed_methods = AllowedMethods::Any);
    for (method, forwards, refused) in
        [("OPTIONS", "0", true), ("OPTIONS", "1", false), ("OPTIONS", "x", false), ("GET", "0", false)]
    {
        let request = crate::fixture::request(&format!("{method} / HTTP/1.1\nMax-Forwards: {forwards}"));
        let reason = route.admit(&request).err().map(|refusal| refusal.reason);
        assert_eq!(reason, refused.then_some(Reason::MethodNotAllowed), "{method} {forwards}");
    }
}

#[test]
fn a_request_that_comes_back_or_has_gone_too_far_is_a_loop() {
    // RFC 8586 § 2; the distribution of the fixture is `u-1`.
    let route = crate::fixture::route(|_| {});
    let other = "proxima; distribution=\"u-2\"";
    let many = |count: usize| vec![other; count].join(", ");
    for (value, looped) in [
        ("proxima; distribution=\"u-1\"".to_owned(), true),
        ("other; x=1, PROXIMA;distribution=\"u-1\" ; x".to_owned(), true),
        (other.to_owned(), false),
        ("other; distribution=\"u-1\"".to_owned(), false),
        ("proxima; x=\"u-1\"".to_owned(), false),
        (many(crate::limits::CDN_LOOP_HOPS - 1), false),
        (many(crate::limits::CDN_LOOP_HOPS), true),
    ] {
        let verdict = route.admit(&crate::fixture::request(&format!("GET / HTTP/1.1\nCDN-Loop: {value}")));
        assert_eq!(verdict.is_err_and(|refusal| refusal.reason == Reason::LoopDetected), looped, "{value}");
    }
}
