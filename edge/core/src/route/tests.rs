use super::*;
use crate::edge_config::{DistributionConfig, EdgeConfig, PathBehaviorConfig};
use crate::fixture::{behavior, distribution, plan, request, route};

/// Uid of the distribution that answers to a host, or the reason why none does.
fn check(plan: &Plan, host: &str, expected: Result<&str, Reason>) {
    let route = plan.route(&request(&format!("GET / HTTP/1.0\nHost: {host}")));
    let actual = route.as_ref().map(|route| route.distribution.uid.as_str()).map_err(|refusal| refusal.reason);
    assert_eq!(actual, expected, "{host:?}");
}

fn with_aliases(uid: &str, aliases: &[&str]) -> DistributionConfig {
    let aliases = aliases.iter().map(|&alias| alias.to_owned()).collect();
    DistributionConfig { uid: uid.to_owned(), aliases, ..distribution() }
}

fn distributions(list: &[(&str, &[&str])]) -> impl FnOnce(&mut EdgeConfig) {
    let distributions = list.iter().map(|&(uid, aliases)| with_aliases(uid, aliases)).collect();
    |config| config.distributions = distributions
}

#[test]
fn without_aliases_any_host_is_answered() {
    let plan = plan(|_| {});
    for host in ["shop.example.com", "EXAMPLE.org:81", "192.0.2.1", "[::1]", ""] {
        check(&plan, host, Ok("u-1"));
    }
}

#[test]
fn the_most_specific_alias_wins() {
    let plan = plan(distributions(&[
        ("any", &[]),
        ("wide", &["*.example.com"]),
        ("narrow", &["*.shop.example.com", "example.com"]),
        ("exact", &["a.shop.example.com"]),
    ]));
    for (host, uid) in [
        ("a.shop.example.com", "exact"),
        ("A.SHOP.example.com.:8080", "exact"),
        ("b.shop.example.com", "narrow"),
        ("x.b.shop.example.com", "narrow"),
        ("x.a.shop.example.com", "narrow"),
        ("shop.example.com", "wide"),
        ("x.y.z.example.com", "wide"),
        ("example.com", "narrow"),
        ("xexample.com", "any"),
        ("com", "any"),
        ("", "any"),
    ] {
        check(&plan, host, Ok(uid));
    }
}

#[test]
fn hosts_that_nobody_has_are_refused() {
    let plan = plan(distributions(&[("one", &["example.com", "*.example.org"])]));
    for host in ["example.net", "example.org", "www.example.com", "192.0.2.1", ""] {
        check(&plan, host, Err(Reason::HostUnknown));
    }
    check(&plan, "www.example.org", Ok("one"));
}

#[test]
fn service_hosts_are_answered_besides_the_aliases() {
    let plan = plan(|config| {
        let hosts = ["shop-edge.web.svc", "127.0.0.1", "[::1]", "localhost"].map(str::to_owned).to_vec();
        let distribution = DistributionConfig { service_hosts: hosts, ..with_aliases("one", &["example.com"]) };
        config.distributions = vec![distribution];
    });
    for host in ["shop-edge.web.svc", "127.0.0.1:8080", "[::1]:8080", "[0:0::1]", "LOCALHOST:1", "example.com"] {
        check(&plan, host, Ok("one"));
    }
    check(&plan, "other-edge.web.svc", Err(Reason::HostUnknown));
}

#[test]
fn a_star_in_a_service_host_stands_for_the_rest_of_its_first_label() {
    let plan = plan(|config| {
        let hosts = ["shop-edge-*", "shop-edge-*.web.svc"].map(str::to_owned).to_vec();
        let distribution = DistributionConfig { service_hosts: hosts, ..with_aliases("one", &["example.com"]) };
        config.distributions = vec![distribution];
    });
    for host in ["shop-edge-a", "shop-edge-sa-east-1a.web.svc", "shop-edge-a.web.svc:80"] {
        check(&plan, host, Ok("one"));
    }
    for host in ["shop-edge-", "shop-edge-.web.svc", "shop-edge-a.b.web.svc", "shop-edge-a.web.svc.evil", "shop-edge"] {
        check(&plan, host, Err(Reason::HostUnknown));
    }
}

#[test]
fn a_disabled_distribution_refuses_every_request() {
    let plan = plan(|config| config.distributions[0].enabled = false);
    check(&plan, "shop.example.com", Err(Reason::DistributionDisabled));
    assert_eq!(plan.route(&request("GET / HTTP/1.1")).unwrap_err().status.as_u16(), 403);
}

#[test]
fn the_first_pattern_that_matches_applies() {
    let patterns = ["images/*.jpg", "images/*", "*.jpg"];
    let plan = plan(|config| {
        let behaviors = patterns
            .iter()
            .map(|&pattern| PathBehaviorConfig { path_pattern: pattern.to_owned(), behavior: behavior() });
        config.distributions[0].behaviors = behaviors.collect();
    });
    for (target, expected) in [
        ("/images/a.jpg", Some("images/*.jpg")),
        ("/images/a.png", Some("images/*")),
        ("//images//a.png", Some("images/*")),
        ("/%69mages/a.png", Some("images/*")),
        ("/a.jpg", Some("*.jpg")),
        ("/a.jpg?x", Some("*.jpg")),
        ("/a?x=.jpg", None),
        ("/", None),
    ] {
        let route = plan.route(&request(&format!("GET {target} HTTP/1.1"))).unwrap();
        let actual = route.behavior.path_pattern.as_ref().map(|pattern| pattern.as_str());
        assert_eq!(actual, expected, "{target}");
    }
    let asterisk = plan.route(&request("OPTIONS * HTTP/1.1")).unwrap();
    assert!(asterisk.behavior.path_pattern.is_none());
}

#[test]
fn the_default_root_object_stands_for_exactly_the_root() {
    let with = route(|distribution| distribution.default_root_object = Some("site/index.html".to_owned()));
    let without = route(|_| {});
    for (text, expected) in [
        ("GET / HTTP/1.1", "/site/index.html"),
        ("GET /?a=1 HTTP/1.1", "/site/index.html"),
        ("HEAD / HTTP/1.1", "/site/index.html"),
        ("POST / HTTP/1.1", "/"),
        ("GET // HTTP/1.1", "//"),
        ("GET /a/ HTTP/1.1", "/a/"),
    ] {
        let request = request(text);
        assert_eq!(with.effective_path(&request), expected, "{text}");
        assert_eq!(without.effective_path(&request), request.path(), "{text}");
    }
}

#[test]
fn the_behaviour_of_the_root_is_chosen_by_the_path_asked_for() {
    let plan = plan(|config| {
        config.distributions[0].default_root_object = Some("index.html".to_owned());
        config.distributions[0].behaviors =
            vec![PathBehaviorConfig { path_pattern: "*.html".to_owned(), behavior: behavior() }];
    });
    assert!(plan.route(&request("GET / HTTP/1.1")).unwrap().behavior.path_pattern.is_none());
    assert!(plan.route(&request("GET /index.html HTTP/1.1")).unwrap().behavior.path_pattern.is_some());
}
