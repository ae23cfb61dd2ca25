use serde_json::{Value, json};

use super::*;
use crate::run::script::{Reply, Script, Step, step};

const VERSION: &str = "GET /version";
const DISTRIBUTIONS: &str = "GET /apis/proxima.dev/v1alpha1/distributions";

fn version() -> Value {
    json!({"major": "1", "minor": "33+", "gitVersion": "v1.33.1", "gitCommit": "", "gitTreeState": "", "buildDate": "",
        "goVersion": "", "compiler": "", "platform": ""})
}

fn empty() -> Reply {
    Reply::Json(200, json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": []}))
}

fn reachable() -> Step {
    step(VERSION, Reply::Json(200, version()))
}

async fn obstacle(steps: impl IntoIterator<Item = Step>) -> String {
    let script = Script::new(steps);
    let error = examine(&script.client()).await.unwrap_err().to_string();
    script.finish();
    error
}

#[tokio::test]
async fn a_cluster_with_crds_and_permissions_is_usable_and_says_its_version() {
    let script = Script::new([reachable(), step(DISTRIBUTIONS, empty())]);
    let health = Health::new();
    health.register("nodes");
    health.synced("nodes");
    assert_eq!(wait_until_usable(&script.client(), &health).await, ServerVersion { major: 1, minor: 33 });
    script.finish();
    assert_eq!(health.waiting_for(), [""; 0]);
}

#[tokio::test]
async fn each_obstacle_is_named_with_the_way_out() {
    // The API server says so in plain text when it does not even know the group.
    let missing = obstacle([reachable(), step(DISTRIBUTIONS, Reply::Json(404, json!("404 page not found")))]).await;
    assert!(missing.contains("install the CRDs") && missing.contains("helm install proxima-crds"), "{missing}");
    let forbidden = obstacle([reachable(), step(DISTRIBUTIONS, Reply::Failure(403, "Forbidden"))]).await;
    assert!(forbidden.contains("may not list distributions; bind the ClusterRole"), "{forbidden}");
    assert!(forbidden.contains("the script says Forbidden"), "{forbidden}");
    let unknown = obstacle([step(VERSION, Reply::Failure(401, "Unauthorized"))]).await;
    assert!(unknown.contains("does not accept the operator's credentials (the script says Unauthorized)"), "{unknown}");
    let broken = obstacle([reachable(), step(DISTRIBUTIONS, Reply::Failure(500, "InternalError"))]).await;
    assert_eq!(broken, "cannot list distributions: the script says InternalError");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_with_the_cause() {
    // Nobody listens on a port that was just given back.
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let config = Config::new(format!("http://127.0.0.1:{port}").parse().unwrap());
    let error = examine(&client(config, Arc::new(Health::new())).unwrap()).await.unwrap_err().to_string();
    assert!(error.starts_with("cannot reach the API server: ") && error.contains("refused"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_start_waits_until_the_crds_are_there() {
    let steps =
        [reachable(), step(DISTRIBUTIONS, Reply::Failure(404, "NotFound")), reachable(), step(DISTRIBUTIONS, empty())];
    let script = Script::new(steps);
    let client = script.client();
    let health = Health::new();
    wait_until_usable(&client, &health).await;
    script.finish();
}

#[tokio::test]
async fn an_obstacle_is_shown_while_it_stands() {
    let script = Script::new([step(VERSION, Reply::For(|_| crate::run::script::failure(403, "Forbidden")))]);
    let health = Health::new();
    let client = script.client();
    let waiting = wait_until_usable(&client, &health);
    tokio::select! {
        _ = waiting => panic!("there is an obstacle"),
        () = async { while !health.waiting_for()[0].contains("Forbidden") { tokio::task::yield_now().await } } => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_ends() {
    let error = call(std::future::pending::<kube::Result<()>>()).await.unwrap_err();
    assert_eq!(error.to_string(), "the API server did not answer within 15 s");
    assert!(!error.is_not_found() && !error.is_conflict());
}

#[tokio::test]
async fn lists_and_watches_are_progress_and_other_requests_are_not() {
    let health = Arc::new(Health::new());
    health.unblocked();
    let noted = |uri: &str| {
        health.register("pods");
        health.age("pods");
        let service = tower::service_fn(|_: Request<Body>| async { Ok::<(), std::convert::Infallible>(()) });
        let mut service = tower::Layer::layer(&noting(Arc::clone(&health)), service);
        drop(tower::Service::call(&mut service, Request::get(uri).body(Body::empty()).unwrap()));
        health.stuck(clock::instant()).is_empty()
    };
    assert!(noted("/api/v1/pods?&limit=500"));
    assert!(noted("/api/v1/pods?watch=true&timeoutSeconds=200"));
    assert!(!noted("/api/v1/namespaces/a/services/pods"));
    assert!(!noted("/api/v1/nodes?watch=true"));
}

#[tokio::test]
async fn a_client_can_be_made_from_a_kubeconfig() {
    let config = Config::new("https://127.0.0.1:1".parse().unwrap());
    assert!(client(config, Arc::new(Health::new())).is_ok());
}

#[test]
fn versions_of_providers_are_understood() {
    let parsed = |major, minor| ServerVersion::parse(major, minor).map(|version| version.to_string());
    assert_eq!(parsed("1", "34").as_deref(), Some("1.34"));
    assert_eq!(parsed("1", "33+").as_deref(), Some("1.33"));
    assert_eq!(parsed("1", ""), None);
    assert!(ServerVersion { major: 1, minor: 9 } < ServerVersion { major: 1, minor: 33 });
}
