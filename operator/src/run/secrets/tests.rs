use serde_json::{Value, json};

use super::*;
use crate::run::script::{Reply, Script, step};

const GET_CLIENT: &str = "GET /api/v1/namespaces/proxima/secrets/proxima-operator-link";
const PATCH_CLIENT: &str = "PATCH /api/v1/namespaces/proxima/secrets/proxima-operator-link";
const GET: &str = "GET /api/v1/namespaces/web/secrets/proxima-edge";
const PATCH: &str = "PATCH /api/v1/namespaces/web/secrets/proxima-edge";
const DELETE: &str = "DELETE /api/v1/namespaces/web/secrets/proxima-edge";

fn pin() -> String {
    "a".repeat(64)
}

fn absent() -> Reply {
    Reply::Failure(404, "NotFound")
}

/// As the API server would give it.
fn stored(name: &str, keys: &Keys, operator_pin: Option<&str>) -> Secret {
    let mut secret = secret(name, labels::EDGE, keys, operator_pin);
    secret.metadata.uid = Some("u-1".to_owned());
    secret
}

fn reply(secret: &Secret) -> Reply {
    Reply::Json(200, serde_json::to_value(secret).unwrap())
}

/// The one that was written.
fn written(body: &Value) -> Secret {
    serde_json::from_value(body.clone()).unwrap()
}

fn secrets(script: &Script) -> LinkSecrets {
    LinkSecrets::new(script.client(), pin(), Metrics::new())
}

fn foreign() -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "proxima-edge", "uid": "u-2"}, "data": {}})
}

#[tokio::test]
async fn stored_client_keys_are_used() {
    let keys = Keys::generate("operator").unwrap();
    let script = Script::new([step(GET_CLIENT, reply(&stored(CLIENT_SECRET, &keys, None)))]);
    let read = client_keys(&script.client(), "proxima", &Metrics::new()).await.unwrap();
    assert_eq!(read.pin(), keys.pin());
    script.finish();
}

#[tokio::test]
async fn missing_client_keys_are_made_and_what_is_stored_counts() {
    let winner = Keys::generate("operator").unwrap();
    for answer in [Reply::Stored, Reply::Failure(409, "Conflict")] {
        let script = Script::new([
            step(GET_CLIENT, absent()),
            step(PATCH_CLIENT, answer),
            step(GET_CLIENT, reply(&stored(CLIENT_SECRET, &winner, None))),
        ]);
        let read = client_keys(&script.client(), "proxima", &Metrics::new()).await.unwrap();
        assert_eq!(read.pin(), winner.pin());
        let heard = &script.finish()[1];
        let made = written(&heard.body);
        let keys = Keys::from_pem(text(&made, CERTIFICATE).unwrap(), text(&made, KEY).unwrap()).unwrap();
        let manager = format!("fieldManager=proxima-operator-{}", keys.pin());
        assert!(heard.query.contains(&manager) && !heard.query.contains("force"), "{}", heard.query);
        assert!(is_ours(&made) && made.type_.as_deref() == Some("kubernetes.io/tls"));
    }
}

#[tokio::test]
async fn unusable_client_keys_are_named_with_the_way_out_and_left_alone() {
    let (one, other) = (Keys::generate("operator").unwrap(), Keys::generate("operator").unwrap());
    let mut mixed = stored(CLIENT_SECRET, &one, None);
    mixed.data.as_mut().unwrap().insert(KEY.to_owned(), ByteString(other.key_pem().into()));
    let mut empty = stored(CLIENT_SECRET, &one, None);
    empty.data = None;
    for secret in [mixed, empty] {
        let script = Script::new([step(GET_CLIENT, reply(&secret))]);
        let error = client_keys(&script.client(), "proxima", &Metrics::new()).await.err().unwrap().to_string();
        assert!(error.contains("Secret proxima/proxima-operator-link") && error.contains("delete it"), "{error}");
        script.finish();
    }
}

#[tokio::test]
async fn a_namespace_gets_a_key_for_its_edges_with_the_operators_pin() {
    let script = Script::new([step(GET, absent()), step(PATCH, Reply::Stored)]);
    let server_pin = secrets(&script).ensure("web").await.unwrap();
    let heard = &script.finish()[1];
    assert!(heard.query.contains("fieldManager=proxima-operator") && !heard.query.contains("force"), "{}", heard.query);
    let mut made = written(&heard.body);
    assert_eq!(text(&made, OPERATOR_PIN).unwrap(), format!("{}\n", pin()));
    made.metadata.uid = Some("made".to_owned());
    let link = LinkSecret::read(&made).unwrap();
    assert!(link.is_ours && link.is_current(&pin()));
    assert_eq!(link.server_pin, server_pin);
}

#[tokio::test]
async fn a_current_secret_is_not_written() {
    let keys = Keys::generate("edge").unwrap();
    let script = Script::new([step(GET, reply(&stored(LINK_SECRET, &keys, Some(&pin()))))]);
    assert_eq!(secrets(&script).ensure("web").await.unwrap(), keys.pin());
    script.finish();
}

#[tokio::test]
async fn an_operator_with_a_new_key_rewrites_its_pin_and_keeps_the_edges_key() {
    let keys = Keys::generate("edge").unwrap();
    let old = stored(LINK_SECRET, &keys, Some(&"b".repeat(64)));
    let script = Script::new([step(GET, reply(&old)), step(PATCH, Reply::Stored)]);
    assert_eq!(secrets(&script).ensure("web").await.unwrap(), keys.pin());
    let heard = &script.finish()[1];
    let made = written(&heard.body);
    assert_eq!(made.metadata.uid.as_deref(), Some("u-1"), "only this very Secret may be changed");
    assert_eq!(text(&made, KEY).unwrap(), keys.key_pem());
    assert_eq!(text(&made, OPERATOR_PIN).unwrap(), format!("{}\n", pin()));
    assert!(heard.query.contains("force=true"), "{}", heard.query);
}

#[tokio::test]
async fn a_secret_of_ours_without_a_usable_key_gets_a_new_one() {
    let mut broken = stored(LINK_SECRET, &Keys::generate("edge").unwrap(), Some(&pin()));
    broken.data.as_mut().unwrap().remove(KEY);
    assert_eq!(LinkSecret::read(&broken), None);
    let script = Script::new([step(GET, reply(&broken)), step(PATCH, Reply::Stored)]);
    let server_pin = secrets(&script).ensure("web").await.unwrap();
    let made = written(&script.finish()[1].body);
    assert_eq!(Keys::from_pem(text(&made, CERTIFICATE).unwrap(), text(&made, KEY).unwrap()).unwrap().pin(), server_pin);
}

#[tokio::test]
async fn a_secret_of_somebody_else_is_reported_and_never_touched() {
    let script = Script::new([step(GET, Reply::Json(200, foreign())), step(GET, Reply::Json(200, foreign()))]);
    let error = secrets(&script).ensure("web").await.unwrap_err();
    assert!(error.is_foreign());
    assert!(error.to_string().starts_with("the Secret web/proxima-edge is not the operator's"), "{error}");
    secrets(&script).remove("web").await.unwrap();
    script.finish();
}

#[tokio::test]
async fn a_secret_of_somebody_else_that_appears_meanwhile_is_reported() {
    for refusal in [Reply::Failure(409, "Conflict"), Reply::Failure(422, "Invalid")] {
        let script = Script::new([step(GET, absent()), step(PATCH, refusal), step(GET, Reply::Json(200, foreign()))]);
        assert!(secrets(&script).ensure("web").await.unwrap_err().is_foreign());
        script.finish();
    }
}

#[tokio::test]
async fn two_at_once_make_one_key() {
    let keys = Keys::generate("edge").unwrap();
    let script = Script::new([
        step(GET, absent()),
        step(PATCH, Reply::Stored),
        step(GET, reply(&stored(LINK_SECRET, &keys, Some(&pin())))),
    ]);
    let secrets = secrets(&script);
    let (first, second) = tokio::join!(secrets.ensure("web"), secrets.ensure("web"));
    assert!(first.is_ok() && second.is_ok());
    script.finish();
}

#[tokio::test]
async fn a_refused_write_is_told() {
    let script = Script::new([step(GET, absent()), step(PATCH, Reply::Failure(403, "Forbidden"))]);
    let error = secrets(&script).ensure("web").await.unwrap_err().to_string();
    assert_eq!(error, "cannot write the Secret web/proxima-edge: the script says Forbidden");
}

#[tokio::test]
async fn only_the_secret_that_was_seen_is_removed() {
    let ours = stored(LINK_SECRET, &Keys::generate("edge").unwrap(), Some(&pin()));
    for answer in [Reply::Json(200, json!({"kind": "Status", "status": "Success"})), Reply::Failure(409, "Conflict")] {
        let script = Script::new([step(GET, reply(&ours)), step(DELETE, answer)]);
        secrets(&script).remove("web").await.unwrap();
        assert_eq!(script.finish()[1].body["preconditions"], json!({"uid": "u-1"}));
    }
    let script = Script::new([step(GET, absent())]);
    secrets(&script).remove("web").await.unwrap();
    script.finish();
}

#[test]
fn only_the_secret_of_edges_is_read_as_such() {
    let keys = Keys::generate("edge").unwrap();
    assert_eq!(LinkSecret::read(&stored("other", &keys, Some(&pin()))), None);
    let two = format!("{}\n{}", pin(), "B".repeat(64));
    let link = LinkSecret::read(&stored(LINK_SECRET, &keys, Some(&two))).unwrap();
    assert_eq!(link.operator_pins, [pin(), "b".repeat(64)]);
    assert!(!link.is_current(&pin()), "another operator is obeyed as well");
}
