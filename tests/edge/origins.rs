//! Addresses that an edge must not connect to, and those that it must.

use std::net::SocketAddr;

use proxima_edge_core::edge_config::{EdgeConfig, HeaderConfig, OriginConfig, OriginProtocolPolicy};
use proxima_edge_core::link::ToEdge;
use proxima_tests::{Authority, Edge, Keys, Link, Origin, Reply, config};

fn at(host: &str, port: u16) -> EdgeConfig {
    let origin = config::origin(SocketAddr::from(([127, 0, 0, 1], port)));
    config::with_origin(OriginConfig { host: host.into(), connection_timeout_ms: 2_000, ..origin })
}

#[tokio::test]
async fn addresses_of_this_machine_are_refused() {
    let origin = Origin::answering(|_| Reply::ok("inside")).await;
    let port = origin.address.port();
    let hosts = [
        "127.0.0.1",
        "127.8.9.10",
        "0.0.0.0",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "::ffff:7f00:1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "fe80::1",
        // Resolved in the edge's own hosts file: what a name stands for is judged after it is resolved.
        "localhost",
    ];
    for host in hosts {
        let edge = Edge::serve_with(&at(host, port), &[]).await;
        let answer = edge.get("/").await;
        assert_eq!((answer.status(), answer.reason()), (502, "OriginAddressForbidden"), "{host}");
        assert!(!answer.text().contains(host), "the viewer learns nothing about the inside: {}", answer.text());
    }
    assert_eq!(origin.connections(), 0);
}

#[tokio::test]
async fn where_to_connect_is_judged_and_not_the_name_that_is_sent() {
    let origin = Origin::answering(|_| Reply::ok("inside")).await;
    let mut edge_config = at("site.example", 80);
    edge_config.distributions[0].origins[0].connect_to = Some(origin.address.to_string());
    let edge = Edge::serve_with(&edge_config, &[]).await;
    assert_eq!(edge.get("/").await.reason(), "OriginAddressForbidden");
    assert_eq!(origin.connections(), 0);

    let edge = Edge::serve(&edge_config).await;
    edge.get("/").await.expect("Miss", "inside");
    assert_eq!(origin.heads()[0].field("host"), Some("site.example"));
}

#[tokio::test]
async fn loopback_is_allowed_when_asked_for() {
    let origin = Origin::answering(|_| Reply::ok("inside")).await;
    for host in ["127.0.0.1", "localhost", "::ffff:127.0.0.1"] {
        let edge = Edge::serve(&at(host, origin.address.port())).await;
        edge.get("/").await.expect("Miss", "inside");
    }
}

#[tokio::test]
async fn the_edges_own_ports_are_always_refused() {
    let home = tempfile::tempdir().unwrap();
    let keys = Keys::generate();
    let edge = Edge::run(home.path(), &keys, None).await;
    let control = edge.control.unwrap();
    let (mut link, _) = Link::open(control, &keys).await;
    let ports = [edge.admin.port(), control.port()];
    for (revision, port) in (1..).zip(ports) {
        let message = ToEdge::Configure(Box::new(config::envelope(at("127.0.0.1", port), 1, 2 * revision)));
        assert_eq!(link.ask(&message).await.refused, None);
        let answer = edge.get("/metrics").await;
        assert_eq!((answer.status(), answer.reason()), (502, "OriginAddressForbidden"), "{port}");
        // A name that stands for ::1 too, where nobody listens: which of the two reasons is told is of no matter.
        let message = ToEdge::Configure(Box::new(config::envelope(at("localhost", port), 1, 2 * revision + 1)));
        assert_eq!(link.ask(&message).await.refused, None);
        let answer = edge.get("/metrics").await;
        assert!(answer.status() == 502 && !answer.text().contains("proxima_edge"), "{port}: {}", answer.head.raw);
    }
}

/// An https origin that stores nothing, with authorities of its own.
fn https(address: SocketAddr, ca_bundle: Option<&str>) -> EdgeConfig {
    let origin = config::origin(address);
    let mut edge_config = config::with_origin(OriginConfig {
        protocol_policy: OriginProtocolPolicy::HttpsOnly,
        https_port: address.port(),
        ca_bundle: ca_bundle.map(str::to_owned),
        ..origin
    });
    edge_config.distributions[0].default_behavior.cache_policy = config::policy_of_nothing();
    edge_config
}

#[tokio::test]
async fn an_origin_is_trusted_when_its_own_authority_vouches_for_it_and_only_then() {
    let (ours, theirs) = (Authority::generate(), Authority::generate());
    let origin = ours.origin("private").await;
    let both = format!("{}{}", theirs.pem, ours.pem);
    for (bundle, trusted) in [
        (None, false),
        (Some(theirs.pem.as_str()), false),
        (Some(ours.pem.as_str()), true),
        (Some(both.as_str()), true),
    ] {
        let before = origin.handshakes();
        let edge = Edge::serve(&https(origin.address, bundle)).await;
        let answer = edge.get("/").await;
        if trusted {
            assert_eq!((answer.status(), answer.text().as_str()), (200, "private"), "{bundle:?}");
        } else {
            assert_eq!((answer.status(), answer.reason()), (502, "OriginTlsError"), "{bundle:?}");
            assert_eq!(origin.handshakes(), before, "{bundle:?}");
        }
    }
}

#[tokio::test]
async fn a_connection_made_under_one_trust_serves_under_no_other() {
    let home = tempfile::tempdir().unwrap();
    let keys = Keys::generate();
    let edge = Edge::run(home.path(), &keys, None).await;
    let (mut link, _) = Link::open(edge.control.unwrap(), &keys).await;
    let (ours, theirs) = (Authority::generate(), Authority::generate());
    let origin = ours.origin("private").await;
    let steps = [(Some(ours.pem.as_str()), 200), (Some(theirs.pem.as_str()), 502), (None, 502), (Some(&ours.pem), 200)];
    for (revision, (bundle, status)) in (1..).zip(steps) {
        let message = ToEdge::Configure(Box::new(config::envelope(https(origin.address, bundle), 1, revision)));
        assert_eq!(link.ask(&message).await.refused, None);
        for _ in 0..2 {
            assert_eq!(edge.get("/").await.status(), status, "revision {revision}");
        }
    }
}

#[tokio::test]
async fn authorities_that_cannot_be_read_vouch_for_nobody() {
    let origin = Authority::generate().origin("private").await;
    let bundle = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let edge = Edge::serve(&https(origin.address, Some(bundle))).await;
    let answer = edge.get("/").await;
    assert_eq!((answer.status(), answer.reason()), (502, "OriginTlsError"));
    assert_eq!(origin.handshakes(), 0);
}

#[tokio::test]
async fn the_origin_path_and_custom_headers_are_sent() {
    let origin = Origin::answering(|_| Reply::ok("answer")).await;
    let mut edge_config = config::site(origin.address);
    let origin_config = &mut edge_config.distributions[0].origins[0];
    origin_config.path = "/public".into();
    origin_config.custom_headers = vec![HeaderConfig { name: "X-From".into(), value: "proxima".into() }];
    let edge = Edge::serve(&edge_config).await;
    let fields = "X-From: viewer\r\nConnection: X-Hop\r\nX-Hop: 1\r\nTE: trailers\r\n";
    proxima_tests::viewer::get_with(edge.http, "/a%20b/c?d=e", fields).await.expect("Miss", "answer");
    let head = &origin.heads()[0];
    assert_eq!((head.method(), head.target()), ("GET", "/public/a%20b/c?d=e"));
    assert_eq!((head.count("x-from"), head.field("x-from")), (1, Some("proxima")));
    assert_eq!(head.count("host"), 1);
    assert_eq!((head.field("x-hop"), head.field("te")), (None, None), "fields of one connection end there");
    assert!(head.field("x-forwarded-for").is_some_and(|value| value.contains("127.0.0.1")), "{}", head.raw);
}
