//! An edge as an operator of machines sees it: probes, metrics, log, start and end.

use std::process::Command;

use proxima_tests::http1::Wire;
use proxima_tests::process::{Process, binary};
use proxima_tests::{Edge, Exchange, Gate, Origin, Reply, config, wait_until};

async fn gated(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::start(move |exchange: Exchange| {
        let gate = gate.clone();
        async move {
            gate.pass().await;
            exchange.reply(Reply::fresh("answer")).await
        }
    })
    .await
}

#[tokio::test]
async fn probes_and_metrics_are_on_the_admin_port_only() {
    let origin = Origin::answering(|head| Reply::ok(head.target().to_owned())).await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    assert_eq!(edge.admin("/livez").await.status(), 200);
    assert_eq!(edge.admin("/readyz").await.status(), 200);
    assert_eq!(edge.admin("/other").await.status(), 404);
    edge.get("/metrics").await.expect("Miss", "/metrics");
    let metrics = edge.metrics().await;
    let served = metrics.with("proxima_edge_requests_total", &[("result", "Miss"), ("status", "2xx")]);
    assert_eq!(served, 1.0);
}

#[tokio::test]
async fn the_number_of_series_does_not_grow_with_what_viewers_send() {
    let origin = Origin::answering(|_| Reply::fresh("answer")).await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    let series = async || edge.admin("/metrics").await.text().lines().count();
    for path in ["/a", "/a"] {
        edge.get(path).await;
    }
    let before = series().await;
    for path in 0..50 {
        let fields = format!("User-Agent: agent-{path}\r\nX-Field-{path}: 1\r\n");
        proxima_tests::viewer::get_with(edge.http, &format!("/{path}"), &fields).await;
    }
    assert_eq!(series().await, before);
}

#[tokio::test]
async fn every_request_has_one_log_line() {
    let origin = Origin::answering(|_| Reply::fresh("answer")).await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    let fields = "User-Agent: tester\r\nCookie: secret=1\r\nAuthorization: Basic c2VjcmV0\r\n";
    let answer = proxima_tests::viewer::get_with(edge.http, "/page?x=1", fields).await;
    edge.get("/page?x=1").await;
    edge.get("/a/../b").await;
    let lines = wait_until("three lines are logged", async || match edge.log() {
        log if log.len() == 3 => Ok(log),
        log => Err(format!("{log:#?}")),
    })
    .await;
    let of = |name: &str| lines.iter().map(|line| line[name].clone()).collect::<Vec<_>>();
    assert_eq!(of("result_type"), ["Miss", "Hit", "Error"]);
    assert_eq!(of("reason"), ["Miss", "Hit", "InvalidPath"]);
    assert_eq!(of("status"), [200, 200, 400]);
    assert_eq!(of("zone"), ["zone-a"; 3]);
    assert_eq!((&lines[0]["uri_stem"], &lines[0]["uri_query"]), (&"/page".into(), &"x=1".into()));
    assert_eq!((&lines[0]["user_agent"], &lines[0]["bytes"]), (&"tester".into(), &6.into()));
    assert_eq!(lines[0]["request_id"], answer.head.field("x-proxima-request-id").unwrap_or_default());
    assert!(!edge.process.stdout.text().contains("secret"), "credentials are not logged");
}

#[tokio::test]
async fn a_request_that_the_viewer_aborts_is_logged() {
    let gate = Gate::closed();
    let origin = gated(&gate).await;
    let edge = Edge::serve(&config::site(origin.address)).await;
    let mut viewer = edge.viewer().await;
    viewer.send_get("/gone", "").await;
    gate.arrived(1).await;
    drop(viewer);
    let line = edge.log_line("the abort is logged", |line| line["aborted"] == true).await;
    assert_eq!((&line["reason"], &line["uri_stem"]), (&"ViewerAborted".into(), &"/gone".into()));
    assert!(line.get("status").is_none_or(serde_json::Value::is_null), "no status was sent: {line}");
    gate.open();
}

#[tokio::test]
async fn sigterm_lets_requests_in_progress_finish_and_takes_no_new_ones() {
    for signal in ["TERM", "INT"] {
        let gate = Gate::closed();
        let origin = gated(&gate).await;
        let mut edge = Edge::serve(&config::site(origin.address)).await;
        let mut idle = edge.viewer().await;
        let mut viewer = edge.viewer().await;
        viewer.send_get("/last", "").await;
        gate.arrived(1).await;

        edge.process.signal(signal);
        wait_until("nobody can connect any more", async || match Wire::connect(edge.http).await {
            Err(_) => Ok(()),
            Ok(mut wire) => {
                if wire.ended().await {
                    Ok(())
                } else {
                    Err("the edge still answers".to_owned())
                }
            }
        })
        .await;
        assert!(idle.wire.ended().await, "an idle connection is closed");
        gate.open();
        viewer.response("GET").await.expect("Miss", "answer");
        assert!(viewer.wire.ended().await, "and its connection ends");
        let status = edge.process.ended().await;
        assert!(status.success(), "{signal}: {status}");
    }
}

#[tokio::test]
async fn a_worker_without_viewers_goes_on_with_what_viewers_of_others_read() {
    // Which worker a connection comes to is chance; that all eight pairs share one is not.
    for _ in 0..8 {
        let gate = Gate::closed();
        let origin = gated(&gate).await;
        let mut edge = Edge::serve(&config::site(origin.address)).await;
        let mut leader = edge.viewer().await;
        leader.send_get("/last", "").await;
        gate.arrived(1).await;
        let mut follower = edge.viewer().await;
        follower.send_get("/last", "").await;
        edge.metric_reaches("proxima_edge_fill_waiters", |waiters| waiters == 1.0).await;
        drop(leader);
        edge.metric_reaches("proxima_edge_connections", |viewers| viewers == 1.0).await;
        edge.process.signal("TERM");
        wait_until("nobody can connect any more", async || match Wire::connect(edge.http).await {
            Err(_) => Ok(()),
            Ok(_) => Err("somebody can".to_owned()),
        })
        .await;
        gate.open();
        follower.response("GET").await.expect("Hit", "answer");
        assert!(edge.process.ended().await.success());
        assert_eq!(origin.requests(), 1);
    }
}

#[tokio::test]
async fn the_end_of_standard_input_ends_the_edge() {
    let origin = Origin::answering(|_| Reply::ok("answer")).await;
    let mut edge = Edge::serve(&config::site(origin.address)).await;
    edge.process.close_stdin();
    edge.process.ended().await;
}

#[tokio::test]
async fn a_configuration_that_cannot_be_served_is_explained() {
    let mut wrong = config::site("127.0.0.1:80".parse().unwrap());
    wrong.distributions[0].default_behavior.target_origin = "nowhere".into();
    let wrong = serde_json::to_string(&wrong).unwrap();
    for (content, words) in [(&*wrong, "nowhere"), ("{\"distributions\": 7}", "line 1"), ("", "config.json")] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        std::fs::write(&file, content).unwrap();
        let mut command = Command::new(binary("PROXIMA_EDGE_BIN", "proxima-edge"));
        command.args(["serve", "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--config"]).arg(&file);
        let mut process = Process::start(command);
        assert!(!process.ended().await.success());
        wait_until("the mistake is named", async || match process.stderr.text() {
            text if text.contains(words) && !text.contains("panicked") => Ok(()),
            text => Err(text),
        })
        .await;
        assert_eq!(process.stdout.text(), "", "no address is announced");
    }
}
