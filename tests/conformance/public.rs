//! The public test suite for HTTP caches, run against an edge process.
//!
//! The suite's own server is the origin, its own client the viewer; both are started with `node` on ports that the
//! system chooses. What the client reports is judged by the suite's own rules and compared with `results.txt`:
//!
//! * a change for the worse fails, after the test failed again on its own;
//! * with `PROXIMA_UPDATE_RESULTS=1` the file is written anew instead;
//! * what is not passed, although required or optional, must be explained in [`exceptions`].

use std::process::Command;

use proxima_edge_core::edge_config::{AllowedMethods, CachePolicyConfig, EdgeConfig, SetCookiePolicy};
use proxima_tests::process::Process;
use proxima_tests::{Edge, config};

use catalogue::Catalogue;
use results::Results;
use verdict::{Verdict, judge};

mod catalogue;
mod exceptions;
mod results;
mod verdict;

/// An installed suite with its server running.
struct Suite {
    folder: std::path::PathBuf,
    server: Process,
    port: u16,
}

impl Suite {
    async fn start() -> Self {
        let folder = catalogue::installed().join("node_modules").join("http-cache-tests");
        let mut command = Command::new("node");
        command.arg("--import").arg(catalogue::here().join("loopback.mjs")).arg("server/server.mjs");
        command.current_dir(&folder).env("npm_config_protocol", "http").env("npm_config_port", "0");
        command.env("npm_config_pidfile", "/dev/null");
        let mut server = Process::start(command);
        let port = server.line("the suite's server says its port", 0, port_of).await;
        Self { folder, server, port }
    }

    /// Runs the suite's client against an edge: all tests, or the one with this id.
    async fn client(&self, edge: &Edge, id: &str) -> Vec<String> {
        let mut command = Command::new("node");
        command.args(["--no-warnings", "cli.mjs"]).current_dir(&self.folder);
        command.env("npm_config_base", format!("http://{}", edge.http)).env("npm_package_config_id", id);
        let mut client = Process::start(command);
        let status = client.ended().await;
        let output = client.stdout.complete().await;
        assert!(status.success(), "the suite's client: {status}\n{}", client.stderr.text());
        output
    }
}

/// The port in `Listening on http://127.0.0.1:40000/`.
fn port_of(line: &str) -> Option<u16> {
    line.strip_prefix("Listening on ")?.trim_end_matches('/').rsplit(':').next()?.parse().ok()
}

/// What the suite is run under: all that RFC 9111 asks of a shared cache, every method, cookies stored as the suite
/// expects of one.
fn policy() -> CachePolicyConfig {
    let managed = proxima_operator::distribution::managed_policies::managed(
        proxima_crds::v1alpha1::ManagedCachePolicy::OriginControlled,
    );
    CachePolicyConfig { set_cookie: SetCookiePolicy::Store, ..managed }
}

fn configuration(port: u16) -> EdgeConfig {
    let mut edge_config = config::site(std::net::SocketAddr::from(([127, 0, 0, 1], port)));
    let behavior = &mut edge_config.distributions[0].default_behavior;
    behavior.allowed_methods = AllowedMethods::Any;
    behavior.cache_policy = policy();
    edge_config
}

#[tokio::test]
async fn public_suite_is_answered_no_worse_than_on_record() {
    let catalogue = Catalogue::load();
    let suite = Suite::start().await;
    let edge = Edge::serve(&configuration(suite.port)).await;
    let report = suite.client(&edge, "").await.join("\n");
    let mut results = Results::new(&catalogue, &judge(&catalogue, &report));

    let recorded = Results::read(&catalogue);
    for id in results.worse_than(&recorded) {
        let mut alone = Vec::new();
        for _ in 0..2 {
            // An edge of its own, so that nothing is left from the run before.
            let edge = Edge::serve(&configuration(suite.port)).await;
            alone.push(Verdict::of_one(&suite.client(&edge, &id).await));
        }
        eprintln!("{id}: {} among the others; alone: {} and {}", results.verdict(&id), alone[0], alone[1]);
        if alone.iter().all(|verdict| *verdict == Verdict::Pass) {
            results.set(&id, Verdict::Pass);
        }
    }
    eprintln!("{}", results.table(&catalogue));
    if std::env::var_os("PROXIMA_UPDATE_RESULTS").is_some() {
        results.write(&catalogue);
        return;
    }
    let worse = results.worse_than(&recorded);
    let why: Vec<_> = worse.iter().map(|id| format!("{id}: {}", verdict::message(&report, id))).collect();
    assert!(worse.is_empty(), "worse than on record:\n{}", why.join("\n"));
    for id in recorded.worse_than(&results) {
        eprintln!("better than on record (PROXIMA_UPDATE_RESULTS=1 records it): {id}");
    }
    drop(suite.server);
}

#[test]
fn every_exception_is_a_test_that_fails_on_record_for_a_stated_reason() {
    let catalogue = Catalogue::load();
    let recorded = Results::read(&catalogue);
    for exception in exceptions::ALL {
        let verdict = recorded.verdict(exception.id);
        assert_ne!(verdict, Verdict::Pass, "{} passes: it needs no exception", exception.id);
        assert!(
            exception.reason.len() > 40 && exception.reason.contains("RFC"),
            "{}: {}",
            exception.id,
            exception.reason
        );
    }
}

#[test]
fn everything_else_that_is_required_or_optional_passes_on_record() {
    let catalogue = Catalogue::load();
    let recorded = Results::read(&catalogue);
    let unexplained: Vec<_> = catalogue
        .0
        .iter()
        .filter(|test| test.kind != catalogue::Kind::Check && test.area != catalogue::SURROGATE)
        .filter(|test| recorded.verdict(&test.id) != Verdict::Pass)
        .filter(|test| !exceptions::ALL.iter().any(|exception| exception.id == test.id))
        .map(|test| test.id.as_str())
        .collect();
    assert!(unexplained.is_empty(), "neither passed nor explained: {unexplained:?}");
}
