use serde_json::json;

use super::*;
use crate::run::script::{Reply, Script, step};

const GET: &str = "GET /apis/coordination.k8s.io/v1/namespaces/proxima/leases/proxima-operator";
const PUT: &str = "PUT /apis/coordination.k8s.io/v1/namespaces/proxima/leases/proxima-operator";
const POST: &str = "POST /apis/coordination.k8s.io/v1/namespaces/proxima/leases";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn lease(term: &str) -> Reply {
    let metadata = json!({"name": "proxima-operator", "namespace": "proxima", "resourceVersion": "5",
        "annotations": {"proxima.dev/term": term, "other": "kept"}});
    let spec = json!({"holderIdentity": "old", "leaseDurationSeconds": 15, "leaseTransitions": 2});
    Reply::Json(
        200,
        json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}),
    )
}

async fn take(script: &Script, seconds: i64) -> Result<u64, TermError> {
    take_term(&script.client(), "proxima", "pod-1", at(seconds), &Metrics::new()).await
}

#[tokio::test]
async fn the_first_term_is_the_time() {
    let script = Script::new([step(GET, Reply::Failure(404, "NotFound")), step(POST, Reply::Stored)]);
    assert_eq!(take(&script, 1_700_000_000).await.unwrap(), 1_700_000_000);
    let written = &script.finish()[1].body;
    assert_eq!(written["metadata"]["annotations"]["proxima.dev/term"], "1700000000");
    assert_eq!(written["spec"]["holderIdentity"], "pod-1");
    assert_eq!(written["spec"]["acquireTime"], written["spec"]["renewTime"]);
}

#[tokio::test]
async fn a_later_term_is_higher_though_the_clock_was_put_back() {
    let script = Script::new([step(GET, lease("2000000000")), step(PUT, Reply::Stored)]);
    assert_eq!(take(&script, 1_700_000_000).await.unwrap(), 2_000_000_001);
    let written = &script.finish()[1].body;
    assert_eq!(written["metadata"]["resourceVersion"], "5", "it must not overwrite a later one");
    assert_eq!(written["metadata"]["annotations"]["other"], "kept");
    assert_eq!(
        (&written["spec"]["leaseTransitions"], &written["spec"]["leaseDurationSeconds"]),
        (&json!(3), &json!(15))
    );
}

#[tokio::test]
async fn a_term_that_is_no_number_makes_way_for_the_time() {
    let script = Script::new([step(GET, lease("many")), step(PUT, Reply::Stored)]);
    assert_eq!(take(&script, 1_700_000_000).await.unwrap(), 1_700_000_000);
    script.finish();
}

#[tokio::test]
async fn who_lost_the_race_reads_again_and_takes_a_higher_one() {
    let script = Script::new([
        step(GET, Reply::Failure(404, "NotFound")),
        step(POST, Reply::Failure(409, "AlreadyExists")),
        step(GET, lease("1700000000")),
        step(PUT, Reply::Failure(409, "Conflict")),
        step(GET, lease("1700000001")),
        step(PUT, Reply::Stored),
    ]);
    assert_eq!(take(&script, 1_700_000_000).await.unwrap(), 1_700_000_002);
    script.finish();
}

#[tokio::test]
async fn a_race_without_end_is_given_up_and_a_refusal_at_once() {
    let rounds =
        (0..limits::TERM_ATTEMPTS).flat_map(|_| [step(GET, lease("1")), step(PUT, Reply::Failure(409, "Conflict"))]);
    let script = Script::new(rounds);
    assert!(matches!(take(&script, 1).await, Err(TermError::Contended(_))));
    script.finish();
    let script = Script::new([step(GET, Reply::Failure(403, "Forbidden"))]);
    let error = take(&script, 1).await.unwrap_err().to_string();
    assert_eq!(error, "cannot take a term from the Lease proxima/proxima-operator: the script says Forbidden");
}
