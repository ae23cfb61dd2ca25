use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::*;

/// Far beyond anything that happens; only a fault waits this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Status and body, over a connection of its own.
async fn get(admin: &Admin, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(admin.address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("an answer").unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

async fn opened(health: &Arc<Health>, metrics: &Metrics) -> Admin {
    open("127.0.0.1:0".parse().unwrap(), Arc::clone(health), metrics.clone()).await.unwrap()
}

#[tokio::test]
async fn readiness_says_what_it_waits_for_until_every_watch_knows_all_objects() {
    let health = Arc::new(Health::new());
    let admin = opened(&health, &Metrics::new()).await;
    health.blocked("the API server knows no Distributions");
    assert_eq!(get(&admin, "/readyz").await, (503, "waiting for: the API server knows no Distributions\n".to_owned()));
    health.register("nodes");
    health.register("pods");
    health.unblocked();
    health.failing("nodes", "forbidden");
    let waiting = "waiting for: watch of nodes: forbidden\nwaiting for: watch of pods\n";
    assert_eq!(get(&admin, "/readyz").await, (503, waiting.to_owned()));
    health.synced("nodes");
    health.synced("pods");
    assert_eq!(get(&admin, "/readyz").await, (200, "ready\n".to_owned()));
    health.failing("pods", "gone");
    assert_eq!(get(&admin, "/readyz").await.0, 200, "a new operator would know less");
}

#[tokio::test]
async fn a_fresh_operator_is_alive_and_not_ready() {
    let health = Arc::new(Health::new());
    let admin = opened(&health, &Metrics::new()).await;
    assert_eq!(get(&admin, "/livez").await, (200, "alive\n".to_owned()));
    assert_eq!(get(&admin, "/readyz").await, (503, "waiting for: the start\n".to_owned()));
}

#[tokio::test]
async fn metrics_are_served_and_other_paths_are_not() {
    let metrics = Metrics::new();
    metrics.set_distributions(5);
    let admin = opened(&Arc::new(Health::new()), &metrics).await;
    let (status, text) = get(&admin, "/metrics").await;
    assert!(
        status == 200 && text.contains("proxima_operator_distributions 5\n") && text.ends_with("# EOF\n"),
        "{text}"
    );
    assert_eq!(get(&admin, "/").await.0, 404);
}

#[test]
fn only_reading_is_allowed() {
    let answered = |method| answer(&Health::new(), &Metrics::new(), &method, "/livez").status();
    assert_eq!(answered(Method::POST), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answered(Method::HEAD), StatusCode::OK);
}

#[test]
fn a_watch_that_asks_for_nothing_is_stuck_and_one_that_fails_is_not() {
    let health = Health::new();
    health.register("nodes");
    health.register("pods");
    health.unblocked();
    assert_eq!(health.stuck(clock::instant()), [""; 0]);
    health.age("nodes");
    health.age("pods");
    assert_eq!(health.stuck(clock::instant()), ["nodes", "pods"]);
    health.failing("nodes", "forbidden");
    assert_eq!(health.stuck(clock::instant()), ["pods"]);
}

#[test]
fn nothing_is_stuck_while_the_start_waits_for_the_api_server() {
    let health = Health::new();
    health.register("nodes");
    health.age("nodes");
    health.blocked("the API server is away");
    assert_eq!(health.stuck(clock::instant()), [""; 0]);
    health.unblocked();
    assert_eq!(health.stuck(clock::instant()), [""; 0], "its time begins now");
}

#[test]
fn an_operator_without_watches_is_not_ready() {
    let health = Health::new();
    health.unblocked();
    assert_eq!(health.waiting_for(), ["the watches"]);
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error() {
    let admin = opened(&Arc::new(Health::new()), &Metrics::new()).await;
    let error = open(admin.address, Arc::new(Health::new()), Metrics::new()).await.err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
}
