//! What an unsafe request invalidates (RFC 9111 § 4.4): the URI that it was sent to, and those of the same origin that the
//! answer names in Location and Content-Location.
//!
//! Only said here; the edge keeps a generation for each [`Resource`]. An invalidation is known to the edge that
//! the unsafe request came through and to no other one: other edges learn of the change when what they hold expires.

use std::borrow::Cow;

use http::header::{CONTENT_LOCATION, LOCATION};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};

use crate::edge_config::Selection;
use crate::request::{Scheme, ViewerRequest};
use crate::route::Route;

/// A URI of a distribution, without its scheme: what is served over http and https comes from one origin. Without the
/// query and the host where the key does not know all of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resource<'a> {
    uid: &'a str,
    host: &'a str,
    target: Cow<'a, str>,
}

impl Route {
    /// The resource that a request asks for.
    pub fn resource<'a>(&'a self, request: &'a ViewerRequest) -> Resource<'a> {
        self.resource_at(request, path_and_query(&request.uri).into())
    }

    /// Whether a success of this request would make something invalid.
    pub fn may_invalidate(&self, request: &ViewerRequest) -> bool {
        self.behavior.cache_policy.origin_controlled && !is_safe(&request.method)
    }

    /// What the response to a request makes invalid. Nothing for safe methods, for failures, and under CloudFront's
    /// policies: CloudFront never invalidates by method.
    pub fn invalidates<'a>(
        &'a self,
        request: &'a ViewerRequest,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Vec<Resource<'a>> {
        let succeeded = status.is_success() || status.is_redirection();
        if !self.may_invalidate(request) || !succeeded {
            return Vec::new();
        }
        let mut resources = vec![self.resource(request)];
        for name in [LOCATION, CONTENT_LOCATION] {
            let target = headers.get(name).and_then(|value| self.same_origin(request, value));
            resources.extend(target.map(|target| self.resource_at(request, target.into())));
        }
        resources.dedup();
        resources
    }

    fn resource_at<'a>(&'a self, request: &'a ViewerRequest, target: Cow<'a, str>) -> Resource<'a> {
        let policy = &self.behavior.cache_policy;
        // What shares a key is one resource here, or one spelling of it would outlive the change of another.
        let host = if policy.key_host || policy.forward_host { &request.host } else { "" };
        let target = match (&policy.key_query_strings, target) {
            (Selection::All, target) => target,
            (_, Cow::Borrowed(target)) => Cow::Borrowed(path_of(target)),
            (_, Cow::Owned(target)) => Cow::Owned(path_of(&target).to_owned()),
        };
        Resource { uid: &self.distribution.uid, host, target }
    }

    /// Path and query of a reference, resolved against the request's URI (RFC 3986 § 5.2). `None`: of another origin,
    /// which must not be touched, or no reference at all.
    fn same_origin(&self, request: &ViewerRequest, reference: &HeaderValue) -> Option<String> {
        let text = reference.to_str().ok()?.split('#').next().unwrap_or_default();
        let (scheme, rest) = match text.split_once("//") {
            Some(("", rest)) => (request.scheme, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http:") => (Scheme::Http, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https:") => (Scheme::Https, rest),
            _ if has_scheme(text) => return None,
            _ => return Some(resolve(&request.uri, text)),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let same = |own: &[u8]| scheme == request.scheme && same_authority(authority, own, scheme);
        let origin = &self.behavior.origin;
        let prefix = &origin.path;
        if same(request.authority.as_bytes()) {
            return Some(rooted(target));
        }
        // An origin that is asked under its own name knows itself, and its paths, by no other.
        let own = if self.behavior.cache_policy.forward_host {
            None
        } else {
            Some((&origin.http_authority, &origin.https_authority))
        };
        own.filter(|(http, https)| {
            same_authority(authority, http.as_bytes(), Scheme::Http) && scheme == Scheme::Http
                || same_authority(authority, https.as_bytes(), Scheme::Https) && scheme == Scheme::Https
        })?;
        target
            .strip_prefix(prefix.as_str())
            .filter(|rest| !rest.starts_with(|next| !matches!(next, '/' | '?')))
            .map(rooted)
    }
}

/// Whether a Content-Location names the URI of the request.
pub(crate) fn names_target(request: &ViewerRequest, route: &Route, location: Option<&HeaderValue>) -> bool {
    let target = location.and_then(|location| route.same_origin(request, location));
    target.is_some_and(|target| target == path_and_query(&request.uri))
}

/// Methods that are safe by definition (RFC 9110 § 9.2.1, RFC 4918, RFC 3253, RFC 5323). Of others it is not known, so
/// they count as unsafe.
fn is_safe(method: &Method) -> bool {
    matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PROPFIND" | "REPORT" | "SEARCH" | "QUERY")
}

fn path_of(target: &str) -> &str {
    target.split('?').next().unwrap_or_default()
}

fn path_and_query(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", |target| target.as_str())
}

fn rooted(target: &str) -> String {
    if target.starts_with('/') { without_dots(target) } else { format!("/{target}") }
}

fn has_scheme(text: &str) -> bool {
    let name = text.split_once(':').map_or("", |(name, _)| name);
    name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.chars().all(|each| each.is_ascii_alphanumeric() || matches!(each, '+' | '-' | '.'))
}

/// Same host, and same port where the scheme's own need not be said.
fn same_authority(one: &str, other: &[u8], scheme: Scheme) -> bool {
    let default = match scheme {
        Scheme::Http => ":80",
        Scheme::Https => ":443",
    };
    let plain = |authority: &str| authority.strip_suffix(default).unwrap_or(authority).to_ascii_lowercase();
    std::str::from_utf8(other).is_ok_and(|other| plain(one) == plain(other))
}

/// A reference without authority against a base (RFC 3986 § 5.2.2, § 5.2.3).
fn resolve(base: &Uri, reference: &str) -> String {
    match reference.chars().next() {
        None => path_and_query(base).to_owned(),
        Some('/') => without_dots(reference),
        Some('?') => format!("{}{reference}", base.path()),
        Some(_) => {
            let folder = &base.path()[..base.path().rfind('/').map_or(0, |slash| slash + 1)];
            without_dots(&format!("{folder}{reference}"))
        }
    }
}

/// Removes dot segments from the path (RFC 3986 § 5.2.4); the query stays as it is.
fn without_dots(target: &str) -> String {
    let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    format!("/{}{query}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{headers, method, origin_controlled, policy, request, route_with};

    fn invalidated(route: &Route, name: &str, uri: &str, status: u16, fields: &str) -> Vec<String> {
        let request = ViewerRequest { method: method(name), ..request(&format!("GET {uri} HTTP/1.1")) };
        let status = StatusCode::from_u16(status).unwrap();
        let resources = route.invalidates(&request, status, &headers(fields));
        assert!(resources.iter().all(|resource| resource.host == "shop.example.com" && resource.uid == "u-1"));
        resources.into_iter().map(|resource| resource.target.into_owned()).collect()
    }

    #[test]
    fn unsafe_methods_invalidate_their_target() {
        let route = route_with(origin_controlled());
        for name in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "FOO", "get"] {
            assert_eq!(invalidated(&route, name, "/a?b=1", 200, ""), ["/a?b=1"], "{name}");
        }
        for name in ["GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH", "QUERY"] {
            assert!(invalidated(&route, name, "/a", 200, "").is_empty(), "{name}");
        }
    }

    #[test]
    fn what_the_key_does_not_know_makes_no_other_resource() {
        let narrow = |query_strings, host| {
            let mut config = origin_controlled();
            (config.key.query_strings, config.key.host) = (query_strings, host);
            route_with(config)
        };
        let target =
            |route: &Route, uri: &str| route.resource(&request(&format!("GET {uri} HTTP/1.1"))).target.into_owned();
        let whole = narrow(Selection::All, true);
        assert_eq!((target(&whole, "/a?b=1"), whole.behavior.cache_policy.key_host), ("/a?b=1".to_owned(), true));
        for some in [Selection::None, Selection::Some(vec!["b".to_owned()]), Selection::AllExcept(vec!["c".to_owned()])]
        {
            assert_eq!(target(&narrow(some, true), "/a?b=1"), "/a");
        }
        let hostless = narrow(Selection::All, false);
        assert_eq!(hostless.resource(&request("GET /a HTTP/1.1")).host, "");
    }

    #[test]
    fn failures_and_cloudfront_policies_invalidate_nothing() {
        let route = route_with(origin_controlled());
        for (status, count) in
            [(100, 0), (199, 0), (200, 1), (204, 1), (303, 1), (399, 1), (400, 0), (404, 0), (500, 0)]
        {
            assert_eq!(invalidated(&route, "POST", "/a", status, "").len(), count, "{status}");
        }
        assert!(invalidated(&route_with(policy()), "POST", "/a", 200, "").is_empty());
    }

    /// What a response to a POST to /a/b?c invalidates besides that.
    fn check(reference: &str, expected: Option<&str>) {
        let route = route_with(origin_controlled());
        for field in ["Location", "Content-Location"] {
            let all = invalidated(&route, "POST", "/a/b?c", 201, &format!("{field}: {reference}"));
            assert_eq!(all[0], "/a/b?c");
            assert_eq!(all.get(1).map(String::as_str), expected, "{field}: {reference}");
        }
    }

    #[test]
    fn locations_of_the_same_origin_are_invalidated_too() {
        check("/x?y=1", Some("/x?y=1"));
        check("x", Some("/a/x"));
        check("../x/./y", Some("/x/y"));
        check("../../..", Some("/"));
        check("?d", Some("/a/b?d"));
        check("/x#part", Some("/x"));
        check("http://shop.example.com/x", Some("/x"));
        check("HTTP://SHOP.example.com:80/x", Some("/x"));
        check("//shop.example.com/x", Some("/x"));
        check("http://shop.example.com", Some("/"));
        check("http://shop.example.com?q", Some("/?q"));
        check("http://site.internal.example/x", Some("/x"));
    }

    #[test]
    fn other_origins_are_left_alone() {
        for reference in [
            "https://shop.example.com/x",
            "http://shop.example.com:81/x",
            "http://other.example/x",
            "//other.example/x",
            "http://shop.example.com.other.example/x",
            "http://shop.example.com@other.example/x",
            "ftp://shop.example.com/x",
            "mailto:someone",
        ] {
            check(reference, None);
        }
        check("/a/b?c", None);
    }

    #[test]
    fn the_origins_own_paths_have_its_prefix() {
        let route = crate::fixture::route(|distribution| {
            distribution.origins[0].path = "/public".to_owned();
            distribution.default_behavior.cache_policy = origin_controlled();
        });
        let location = |text: &str| invalidated(&route, "POST", "/a", 201, &format!("Location: {text}"));
        assert_eq!(location("http://site.internal.example/public/x"), ["/a", "/x"]);
        assert_eq!(location("http://site.internal.example/x"), ["/a"]);
    }

    #[test]
    fn only_a_content_location_equal_to_the_target_names_it() {
        let route = route_with(origin_controlled());
        let post = request("GET /a/b?c HTTP/1.1");
        for (text, expected) in [
            ("/a/b?c", true),
            ("http://shop.example.com/a/b?c", true),
            ("", true),
            ("b?c", true),
            ("/a/b", false),
            ("/a/B?c", false),
            ("http://other.example/a/b?c", false),
        ] {
            let value = HeaderValue::from_str(text).unwrap();
            assert_eq!(names_target(&post, &route, Some(&value)), expected, "{text}");
        }
        assert!(!names_target(&post, &route, None));
    }
}
