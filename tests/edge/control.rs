//! The control port: who may speak, what is refused, and what survives a crash.

use proxima_edge_core::edge_config::{CachePolicyConfig, EdgeConfig};
use proxima_edge_core::link::{LinkRefusalReason, ToEdge};
use proxima_tests::link::Identity;
use proxima_tests::{Edge, Keys, Link, Origin, Reply, config, wait_until};

fn configure(config: &EdgeConfig, term: u64, revision: u64) -> ToEdge {
    ToEdge::Configure(Box::new(config::envelope(config.clone(), term, revision)))
}

async fn origin() -> Origin {
    Origin::answering(|head| Reply::ok(head.target().to_owned())).await
}

async fn refusals(edge: &Edge, reason: LinkRefusalReason, wanted: f64) {
    wait_until("the refusal is counted", async || {
        let count = edge.metrics().await.with("proxima_edge_link_refusals_total", &[("reason", reason.as_str())]);
        if count >= wanted { Ok(()) } else { Err(format!("{} = {count}", reason.as_str())) }
    })
    .await;
}

#[tokio::test]
async fn a_pushed_configuration_is_served_once_it_is_acknowledged() {
    let origin = origin().await;
    let (home, keys) = (tempfile::tempdir().unwrap(), Keys::generate());
    let edge = Edge::run(home.path(), &keys, None).await;
    assert_eq!(edge.admin("/readyz").await.status(), 503, "without a configuration there is nothing to be ready for");
    assert_eq!(edge.admin("/livez").await.status(), 200);
    assert_ne!(edge.get("/").await.status(), 200);

    let (mut link, greeting) = Link::open(edge.control.unwrap(), &keys).await;
    assert_eq!((greeting.serving, &*greeting.edge, &*greeting.zone), (None, "edge-1", "zone-a"));
    let answer = link.ask(&configure(&config::site(origin.address), 5, 1)).await;
    let serving = answer.serving.unwrap();
    assert_eq!((answer.refused, serving.revision), (None, 1));
    edge.get("/one").await.expect("Miss", "/one");
    assert_eq!(edge.admin("/readyz").await.status(), 200);
    assert!(home.path().join("state/state.json").exists(), "acknowledged means written");
}

#[tokio::test]
async fn strangers_are_refused_and_counted() {
    let (home, keys) = (tempfile::tempdir().unwrap(), Keys::generate());
    let edge = Edge::run(home.path(), &keys, None).await;
    let control = edge.control.unwrap();
    let stranger = Identity::generate("proxima-operator");
    for (count, client) in [(1.0, Some(&stranger)), (2.0, None), (3.0, Some(&keys.edge))] {
        if let Ok(mut link) = Link::connect(control, &keys.edge, client).await {
            let said = link.receive().await;
            let reason = said.as_ref().and_then(|said| said.refused.as_ref()).map(|refused| refused.reason);
            assert!(said.is_none() || reason == Some(LinkRefusalReason::WrongPin), "the edge spoke: {said:?}");
        }
        refusals(&edge, LinkRefusalReason::WrongPin, count).await;
    }
    // Plain bytes instead of a handshake do no harm either.
    let mut plain = proxima_tests::Viewer::connect(control).await;
    plain.send("GET / HTTP/1.1\r\n\r\n").await;
    Link::open(control, &keys).await;
}

#[tokio::test]
async fn a_message_of_the_past_is_refused_and_changes_nothing() {
    let origin = origin().await;
    let (home, keys) = (tempfile::tempdir().unwrap(), Keys::generate());
    let edge = Edge::run(home.path(), &keys, None).await;
    let (mut link, _) = Link::open(edge.control.unwrap(), &keys).await;
    let current = config::site(origin.address);
    let mut disabled = current.clone();
    disabled.distributions[0].enabled = false;
    assert_eq!(link.ask(&configure(&current, 7, 3)).await.refused, None);
    let past = [
        (configure(&disabled, 6, 9), LinkRefusalReason::LowerTerm),
        (configure(&disabled, 7, 2), LinkRefusalReason::LowerRevision),
        (ToEdge::Ping { term: 6, revision: 3, epoch: 0 }, LinkRefusalReason::LowerTerm),
    ];
    for (message, reason) in past {
        let answer = link.ask(&message).await;
        assert_eq!(answer.refused.map(|refused| refused.reason), Some(reason), "{message:?}");
        assert_eq!(answer.serving.map(|serving| serving.revision), Some(3));
        refusals(&edge, reason, 1.0).await;
    }
    edge.get("/page").await.expect("Miss", "/page");
    assert_eq!(link.ask(&configure(&disabled, 8, 1)).await.refused, None, "a later operator counts anew");
    assert_eq!(edge.get("/page").await.reason(), "DistributionDisabled");
}

#[tokio::test]
async fn a_message_that_is_wrong_is_refused_and_changes_nothing() {
    let origin = origin().await;
    let (home, keys) = (tempfile::tempdir().unwrap(), Keys::generate());
    let edge = Edge::run(home.path(), &keys, None).await;
    let (mut link, _) = Link::open(edge.control.unwrap(), &keys).await;
    let good = config::site(origin.address);
    assert_eq!(link.ask(&configure(&good, 1, 1)).await.refused, None);

    let mut forged = config::envelope(good.clone(), 1, 2);
    forged.config.distributions[0].enabled = false;
    let mut dangling = good.clone();
    dangling.distributions[0].default_behavior.target_origin = "nowhere".into();
    let mut demanding = good.clone();
    demanding.requires = vec!["teleportation".into()];
    let mut other = good.clone();
    other.distributions[0].uid = "00000000-0000-0000-0000-00000000000f".into();
    let wrong = [
        (ToEdge::Configure(Box::new(forged)), LinkRefusalReason::HashMismatch, ""),
        (configure(&dangling, 1, 2), LinkRefusalReason::Invalid, "nowhere"),
        (configure(&demanding, 1, 2), LinkRefusalReason::UnknownFeature, "teleportation"),
        (configure(&other, 1, 2), LinkRefusalReason::WrongDistribution, ""),
    ];
    for (message, reason, detail) in wrong {
        let answer = link.ask(&message).await;
        let refused = answer.refused.unwrap();
        assert_eq!((refused.reason, answer.serving.unwrap().revision), (reason, 1), "{}", refused.detail);
        assert!(refused.detail.contains(detail), "{}", refused.detail);
        refusals(&edge, reason, 1.0).await;
    }
    for frame in [&b"not json"[..], b"{}", b"{\"type\":\"explode\"}", b"\xff\xfe", b""] {
        let (mut link, _) = Link::open(edge.control.unwrap(), &keys).await;
        let reason = link.ask_bytes(frame).await.refused.map(|refused| refused.reason);
        assert_eq!(reason, Some(LinkRefusalReason::Malformed), "{frame:?}");
    }
    refusals(&edge, LinkRefusalReason::Malformed, 5.0).await;
    edge.get("/page").await.expect("Miss", "/page");
}

#[tokio::test]
async fn a_frame_that_is_too_long_ends_the_connection_and_is_counted() {
    let (home, keys) = (tempfile::tempdir().unwrap(), Keys::generate());
    let edge = Edge::run(home.path(), &keys, None).await;
    let (mut link, _) = Link::open(edge.control.unwrap(), &keys).await;
    let before = edge.process.resident();
    link.send(&u32::MAX.to_be_bytes()).await;
    let mut said = link.receive().await;
    if let Some(answer) = &said {
        let reason = answer.refused.as_ref().map(|refused| refused.reason);
        assert_eq!(reason, Some(LinkRefusalReason::TooLarge));
        said = link.receive().await;
    }
    assert!(said.is_none(), "the connection ends");
    refusals(&edge, LinkRefusalReason::TooLarge, 1.0).await;
    assert!(edge.process.resident() < before + (32 << 20), "nothing is allocated on a stranger's word");
}

#[tokio::test]
async fn after_a_kill_the_edge_serves_its_state_file_without_an_operator() {
    let origin = origin().await;
    let (home, keys) = (tempfile::tempdir().unwrap(), Keys::generate());
    let old = config::site(origin.address);
    let mut new = old.clone();
    new.distributions[0].default_root_object = Some("new.html".into());
    let boot = config::envelope(old, 1, 1);

    let edge = Edge::run(home.path(), &keys, Some(&boot)).await;
    edge.get("/").await.expect("Miss", "/");
    let (mut link, greeting) = Link::open(edge.control.unwrap(), &keys).await;
    assert_eq!(greeting.serving.map(|serving| serving.revision), Some(1));
    assert_eq!(link.ask(&configure(&new, 1, 2)).await.refused, None);
    edge.kill().await;

    // The mounted boot copy is still the old one.
    let edge = Edge::run(home.path(), &keys, Some(&boot)).await;
    edge.get("/").await.expect("Miss", "/new.html");
    wait_until("the edge is ready without an operator", async || match edge.admin("/readyz").await.status() {
        200 => Ok(()),
        other => Err(other.to_string()),
    })
    .await;
    let (mut link, greeting) = Link::open(edge.control.unwrap(), &keys).await;
    assert_eq!(greeting.serving.map(|serving| serving.revision), Some(2));
    let refused = link.ask(&configure(&new, 0, 9)).await.refused.map(|refused| refused.reason);
    assert_eq!(refused, Some(LinkRefusalReason::LowerTerm), "the term survives too");
}

#[tokio::test]
async fn a_state_file_that_is_broken_or_of_another_distribution_is_not_served() {
    let origin = origin().await;
    let keys = Keys::generate();
    let boot = config::envelope(config::site(origin.address), 1, 1);
    let mut other = boot.clone();
    other.uid = "00000000-0000-0000-0000-00000000000f".into();
    other.revision = 99;
    for state in ["{\"uid\": ".to_owned(), serde_json::to_string(&other).unwrap(), String::new()] {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("state")).unwrap();
        std::fs::write(home.path().join("state/state.json"), &state).unwrap();
        let edge = Edge::run(home.path(), &keys, Some(&boot)).await;
        edge.get("/page").await.expect("Miss", "/page");
        let (_, greeting) = Link::open(edge.control.unwrap(), &keys).await;
        assert_eq!(greeting.serving.map(|serving| serving.revision), Some(1), "{state}");
    }
}

#[tokio::test]
async fn a_changed_lifetime_holds_for_what_is_already_stored() {
    let origin = origin().await;
    let (home, keys) = (tempfile::tempdir().unwrap(), Keys::generate());
    let edge = Edge::run(home.path(), &keys, None).await;
    let (mut link, _) = Link::open(edge.control.unwrap(), &keys).await;
    let with = |policy: CachePolicyConfig| {
        let mut edge_config = config::site(origin.address);
        edge_config.distributions[0].default_behavior.cache_policy = policy;
        edge_config
    };
    let day = config::policy_of_a_day();
    assert_eq!(link.ask(&configure(&with(day.clone()), 1, 1)).await.refused, None);
    edge.get("/page").await.expect("Miss", "/page");
    edge.get("/page").await.expect("Hit", "/page");

    let nothing = CachePolicyConfig { default_ttl_ms: Some(0), ..day.clone() };
    assert_eq!(link.ask(&configure(&with(nothing), 1, 2)).await.refused, None);
    edge.get("/page").await.expect("Miss", "/page");
    edge.get("/page").await.expect("Miss", "/page");

    assert_eq!(link.ask(&configure(&with(day), 1, 3)).await.refused, None);
    edge.get("/other").await.expect("Miss", "/other");
    edge.get("/other").await.expect("Hit", "/other");
}
