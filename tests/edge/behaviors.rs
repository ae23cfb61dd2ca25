//! Which distribution and behaviour answer, and what they allow.

use proxima_edge_core::edge_config::{AllowedMethods, CachedMethods, EdgeConfig, ViewerProtocolPolicy};
use proxima_tests::viewer::{get_with, raw, request};
use proxima_tests::{Edge, Origin, Reply, Response, config};

async fn origin() -> Origin {
    Origin::answering(|head| Reply::fresh(format!("{} {}", head.method(), head.target()))).await
}

async fn with(change: impl FnOnce(&mut EdgeConfig)) -> (Edge, Origin) {
    let origin = origin().await;
    let mut edge_config = config::site(origin.address);
    change(&mut edge_config);
    (Edge::serve(&edge_config).await, origin)
}

async fn for_host(edge: &Edge, host: &str) -> Response {
    raw(edge.http, format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).await
}

#[tokio::test]
async fn only_aliases_and_service_names_are_answered() {
    let (edge, _origin) = with(|edge_config| {
        let distribution = &mut edge_config.distributions[0];
        distribution.aliases = vec!["shop.example.com".into(), "*.shop.example.com".into()];
        distribution.service_hosts = vec!["shop-edge.web.svc".into(), "127.0.0.1".into()];
    })
    .await;
    let known = [
        "shop.example.com",
        "SHOP.example.com:8080",
        "shop.example.com.",
        "a.shop.example.com",
        "a.b.shop.example.com",
        "shop-edge.web.svc",
        "127.0.0.1:9",
    ];
    for host in known {
        assert_eq!(for_host(&edge, host).await.status(), 200, "{host}");
    }
    for host in ["example.com", "evilshop.example.com", "shop.example.com.evil.test", "[::1]", "other.test"] {
        let answer = for_host(&edge, host).await;
        assert_eq!((answer.status(), answer.reason()), (403, "HostUnknown"), "{host}");
    }
}

#[tokio::test]
async fn the_first_matching_path_pattern_decides_and_then_the_default() {
    let special = Origin::answering(|_| Reply::ok("special")).await;
    let (edge, _origin) = with(|edge_config| {
        let distribution = &mut edge_config.distributions[0];
        let mut other = config::origin(special.address);
        other.name = "special".into();
        distribution.origins.push(other);
        let to = |name: &str| config::behavior(name, config::policy());
        distribution.behaviors = vec![
            config::path_behavior("/images/keep/*", to("site")),
            config::path_behavior("images/*.jp?", to("special")),
            config::path_behavior("/images/*", to("special")),
        ];
    })
    .await;
    let special = ["/images/a.jpg", "/images/deep/b.jpg", "/images/", "//images//a.png", "/%69mages/a.gif"];
    let site = ["/images/keep/a.jpg", "/image", "/Images/a.jpg", "/x/images/a.jpg", "/"];
    for path in special {
        assert_eq!(edge.get(path).await.text(), "special", "{path}");
    }
    for path in site {
        assert_eq!(edge.get(path).await.text(), format!("GET {path}"), "{path}");
    }
}

#[tokio::test]
async fn the_default_root_object_stands_for_the_root_only() {
    let (edge, _origin) =
        with(|edge_config| edge_config.distributions[0].default_root_object = Some("index.html".into())).await;
    for (path, asked) in [("/", "/index.html"), ("/?x=1", "/index.html?x=1"), ("/docs/", "/docs/")] {
        assert_eq!(edge.get(path).await.text(), format!("GET {asked}"), "{path}");
    }
    // An entry of its own: it may have another behaviour than the root.
    edge.get("/").await.expect("Hit", "GET /index.html");
    edge.get("/index.html").await.expect("Miss", "GET /index.html");
}

#[tokio::test]
async fn methods_outside_the_allowed_ones_are_403() {
    use AllowedMethods::{All, Any, GetHead, GetHeadOptions};
    let matrix: &[(AllowedMethods, &[&str], &[&str])] = &[
        (GetHead, &["GET", "HEAD"], &["OPTIONS", "POST", "PUT", "PATCH", "DELETE", "PROPFIND", "get"]),
        (GetHeadOptions, &["GET", "HEAD", "OPTIONS"], &["POST", "PUT", "PATCH", "DELETE", "PROPFIND"]),
        (All, &["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"], &["PROPFIND", "CONNECT", "TRACE"]),
        (Any, &["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "PROPFIND", "PURGE"], &["TRACE"]),
    ];
    for (allowed, good, bad) in matrix {
        let (edge, origin) =
            with(|edge_config| edge_config.distributions[0].default_behavior.allowed_methods = *allowed).await;
        for method in *good {
            let answer = request(edge.http, method, &format!("/{method}"), "Content-Length: 0\r\n").await;
            assert_eq!(answer.status(), 200, "{allowed:?} {method}: {}", answer.text());
        }
        for method in bad.iter().filter(|method| **method != "CONNECT") {
            let answer = request(edge.http, method, "/", "").await;
            assert_eq!((answer.status(), answer.reason()), (403, "MethodNotAllowed"), "{allowed:?} {method}");
        }
        assert_eq!(origin.requests(), good.len());
    }
}

#[tokio::test]
async fn options_is_stored_only_when_asked_for_and_apart_from_get() {
    for (cached, second) in [(CachedMethods::GetHead, "Miss"), (CachedMethods::GetHeadOptions, "Hit")] {
        let (edge, _origin) = with(|edge_config| {
            let behavior = &mut edge_config.distributions[0].default_behavior;
            behavior.allowed_methods = AllowedMethods::GetHeadOptions;
            behavior.cached_methods = cached;
        })
        .await;
        request(edge.http, "OPTIONS", "/page", "").await.expect("Miss", "OPTIONS /page");
        request(edge.http, "OPTIONS", "/page", "").await.expect(second, "OPTIONS /page");
        edge.get("/page").await.expect("Miss", "GET /page");
        edge.get("/page").await.expect("Hit", "GET /page");
    }
}

#[tokio::test]
async fn http_is_redirected_or_refused_where_https_is_demanded() {
    let (edge, origin) = with(|edge_config| {
        let behavior = &mut edge_config.distributions[0].default_behavior;
        behavior.allowed_methods = AllowedMethods::All;
        behavior.viewer_protocol_policy = ViewerProtocolPolicy::RedirectToHttps;
        let mut strict = behavior.clone();
        strict.viewer_protocol_policy = ViewerProtocolPolicy::HttpsOnly;
        edge_config.distributions[0].behaviors = vec![config::path_behavior("/strict/*", strict)];
    })
    .await;
    let redirects =
        [("GET", 301), ("HEAD", 301), ("POST", 307), ("PUT", 307), ("PATCH", 307), ("DELETE", 307), ("OPTIONS", 307)];
    for (method, status) in redirects {
        let answer = request(edge.http, method, "/a%20b?c=d", "").await;
        assert_eq!((answer.status(), answer.x_cache()), (status, "Redirect from proxima"), "{method}");
        assert_eq!(answer.head.field("location"), Some("https://site.test/a%20b?c=d"), "{method}");
        let answer = request(edge.http, method, "/strict/a", "").await;
        assert_eq!((answer.status(), answer.reason()), (403, "HttpsRequired"), "{method}");
    }
    assert_eq!(origin.requests(), 0);
}

#[tokio::test]
async fn a_disabled_distribution_answers_every_request_403() {
    let (edge, origin) = with(|edge_config| edge_config.distributions[0].enabled = false).await;
    let answer = edge.get("/").await;
    assert_eq!((answer.status(), answer.reason(), origin.requests()), (403, "DistributionDisabled", 0));
}

#[tokio::test]
async fn a_policy_that_stores_nothing_passes_everything() {
    let (edge, origin) = with(|edge_config| {
        edge_config.distributions[0].default_behavior.cache_policy = config::policy_of_nothing();
    })
    .await;
    for requests in 1..=3 {
        edge.get("/page").await.expect("Miss", "GET /page");
        assert_eq!(origin.requests(), requests);
    }
}

#[tokio::test]
async fn the_viewers_host_reaches_the_origin_only_when_the_policy_says_so() {
    let (edge, origin) = with(|_| ()).await;
    for_host(&edge, "a.test").await;
    assert_eq!(for_host(&edge, "b.test").await.x_cache(), "Hit from proxima");
    assert_eq!(origin.heads()[0].field("host"), Some(&*origin.address.to_string()));

    let (edge, origin) = with(|edge_config| {
        edge_config.distributions[0].default_behavior.cache_policy.key.headers = vec!["host".into()];
    })
    .await;
    for_host(&edge, "a.test").await;
    assert_eq!(for_host(&edge, "b.test").await.x_cache(), "Miss from proxima");
    let hosts: Vec<_> = origin.heads().iter().map(|head| head.field("host").unwrap_or_default().to_owned()).collect();
    assert_eq!(hosts, ["a.test", "b.test"]);
}

#[tokio::test]
async fn a_header_in_the_key_separates_and_reaches_the_origin() {
    let (edge, origin) = with(|edge_config| {
        edge_config.distributions[0].default_behavior.cache_policy.key.headers = vec!["x-device".into()];
    })
    .await;
    let ask = async |device: &str| get_with(edge.http, "/", &format!("X-Device: {device}\r\nX-Other: 1\r\n")).await;
    assert_eq!(ask("phone").await.x_cache(), "Miss from proxima");
    assert_eq!(ask("desk").await.x_cache(), "Miss from proxima");
    assert_eq!(ask("phone").await.x_cache(), "Hit from proxima");
    let first = &origin.heads()[0];
    assert_eq!((first.field("x-device"), first.field("x-other")), (Some("phone"), None));
}

#[tokio::test]
async fn a_response_that_sets_a_cookie_is_not_stored() {
    let origin = Origin::answering(|_| Reply::fresh("for you").field("Set-Cookie", "id=1")).await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    for _ in 0..2 {
        let answer = edge.get("/").await;
        answer.expect("Miss", "for you");
        assert_eq!(answer.head.field("set-cookie"), Some("id=1"));
    }
}
