use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::*;
use crate::run::script::{Reply, Script, step};

const POST: &str = "POST /apis/events.k8s.io/v1/namespaces/web/events";

fn condition(kind: ConditionType, holds: bool, reason: Reason, message: &str) -> Condition {
    Condition {
        type_: kind.as_str().to_owned(),
        status: if holds { "True" } else { "False" }.to_owned(),
        reason: reason.as_str().to_owned(),
        message: message.to_owned(),
        observed_generation: None,
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
    }
}

fn status(revision: u64, conditions: Vec<Condition>) -> DistributionStatus {
    DistributionStatus { revision: Some(revision.to_string()), conditions, ..DistributionStatus::default() }
}

fn valid() -> Condition {
    condition(ConditionType::Accepted, true, Reason::Valid, "the specification is valid")
}

fn refused(message: &str) -> Condition {
    condition(ConditionType::Accepted, false, Reason::OriginNotFound, message)
}

fn live(revision: u64) -> DistributionStatus {
    let message = format!("revision {revision} is live on 6/6 edges");
    let conditions = vec![
        valid(),
        condition(ConditionType::Deployed, true, Reason::EdgesCurrent, &message),
        condition(ConditionType::Ready, true, Reason::ZonesReady, "every zone has a ready edge"),
    ];
    status(revision, conditions)
}

fn with(status: &DistributionStatus, condition: Condition) -> DistributionStatus {
    let mut status = status.clone();
    status.conditions.retain(|other| other.type_ != condition.type_);
    status.conditions.push(condition);
    status
}

/// What is told, as `Kind Reason`.
fn told(previous: Option<&DistributionStatus>, current: &DistributionStatus) -> Vec<String> {
    transitions(previous, current).iter().map(|note| format!("{} {}", note.kind.as_str(), note.reason)).collect()
}

fn deployed(holds: bool, reason: Reason) -> Condition {
    condition(ConditionType::Deployed, holds, reason, "")
}

fn ready(holds: bool, reason: Reason) -> Condition {
    condition(ConditionType::Ready, holds, reason, "")
}

#[test]
fn a_status_that_stays_is_not_told() {
    assert_eq!(told(Some(&live(1)), &live(1)), [""; 0]);
    let scaled = with(&live(1), condition(ConditionType::Deployed, true, Reason::EdgesCurrent, "revision 1 … 7/7"));
    assert_eq!(told(Some(&live(1)), &scaled), [""; 0], "counts are no news");
}

#[test]
fn a_start_tells_its_success_and_not_its_way() {
    let starting = status(1, vec![valid(), deployed(false, Reason::EdgesPending), ready(false, Reason::ZonesNotReady)]);
    assert_eq!(told(None, &starting), [""; 0]);
    assert_eq!(told(Some(&starting), &live(1)), ["Normal EdgesCurrent", "Normal ZonesReady"]);
    assert_eq!(transitions(Some(&starting), &live(1))[0].note, "revision 1 is live on 6/6 edges");
}

#[test]
fn each_revision_is_told_though_nobody_saw_it_pending() {
    assert_eq!(told(Some(&live(1)), &live(2)), ["Normal EdgesCurrent"]);
}

#[test]
fn each_refusal_is_told_once_and_its_end() {
    let waiting = |message| {
        let not_ready = with(&live(1), ready(false, Reason::NotAccepted));
        with(&with(&not_ready, deployed(false, Reason::NotAccepted)), refused(message))
    };
    assert_eq!(told(None, &waiting("no origin a")), ["Warning OriginNotFound"]);
    assert_eq!(told(Some(&live(1)), &waiting("no origin a")), ["Warning OriginNotFound"]);
    assert_eq!(told(Some(&waiting("no origin a")), &waiting("no origin a")), [""; 0]);
    assert_eq!(told(Some(&waiting("no origin a")), &waiting("no origin b")), ["Warning OriginNotFound"]);
    let mended = told(Some(&waiting("no origin a")), &live(2));
    assert_eq!(mended, ["Normal Valid", "Normal EdgesCurrent", "Normal ZonesReady"]);
}

#[test]
fn edges_that_cannot_be_reached_or_refuse_are_told_and_waiting_is_not() {
    let away = with(&live(1), deployed(false, Reason::EdgesUnreachable));
    let refusing = with(&live(1), deployed(false, Reason::EdgesRefuse));
    let pending = with(&live(2), deployed(false, Reason::EdgesPending));
    assert_eq!(told(Some(&live(1)), &away), ["Warning EdgesUnreachable"]);
    assert_eq!(told(Some(&away), &away), [""; 0]);
    assert_eq!(told(Some(&away), &refusing), ["Warning EdgesRefuse"]);
    assert_eq!(told(Some(&live(1)), &pending), [""; 0]);
    assert_eq!(told(Some(&away), &live(1)), ["Normal EdgesCurrent"]);
}

#[test]
fn a_zone_that_is_lost_is_told_and_again_when_it_is_back() {
    let lost = with(&live(1), ready(false, Reason::ZonesNotReady));
    assert_eq!(told(Some(&live(1)), &lost), ["Warning ZonesNotReady"]);
    assert_eq!(told(Some(&lost), &lost), [""; 0]);
    assert_eq!(told(Some(&lost), &live(1)), ["Normal ZonesReady"]);
    let on_its_way = with(&with(&live(2), ready(false, Reason::ZonesNotReady)), deployed(false, Reason::EdgesPending));
    assert_eq!(told(Some(&live(1)), &on_its_way), [""; 0], "that is so for a moment after each edit");
}

fn object() -> ObjectReference {
    ObjectReference {
        api_version: Some("proxima.dev/v1alpha1".to_owned()),
        kind: Some("Distribution".to_owned()),
        name: Some("shop".to_owned()),
        namespace: Some("web".to_owned()),
        uid: Some("u".to_owned()),
        ..ObjectReference::default()
    }
}

fn note(text: &str) -> EventNote {
    EventNote { kind: EventKind::Warning, action: "Accepted", reason: "Invalid".to_owned(), note: text.to_owned() }
}

#[tokio::test]
async fn events_are_written_one_after_the_other_and_failures_stop_nothing() {
    let script = Script::new([step(POST, Reply::Failure(500, "InternalError")), step(POST, Reply::Stored)]);
    let events = Events::new(script.client(), "pod-1", Metrics::new());
    events.publish(&object(), note("lost"));
    events.publish(&object(), note("kept"));
    let written = async {
        while script.heard().len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(60), written).await.expect("two events");
    let body: Value = script.finish()[1].body.clone();
    assert_eq!((&body["note"], &body["type"], &body["reason"]), (&json!("kept"), &json!("Warning"), &json!("Invalid")));
    assert_eq!((&body["regarding"]["uid"], &body["metadata"]["generateName"]), (&json!("u"), &json!("shop-")));
    let reporter = (&body["reportingController"], &body["reportingInstance"], &body["action"]);
    assert_eq!(reporter, (&json!("proxima-operator"), &json!("pod-1"), &json!("Accepted")));
}

#[test]
fn long_notes_are_cut_at_a_letter() {
    assert_eq!(cut("short".to_owned()), "short");
    let long = cut("ü".repeat(1_000));
    assert!(long.len() <= limits::EVENT_NOTE_BYTES && long.ends_with("ü…"), "{} bytes", long.len());
}

#[test]
fn an_object_has_a_burst_of_events_and_then_one_every_now_and_then() {
    let mut budget = Budget::default();
    let start = clock::instant();
    let granted = |budget: &mut Budget, now| (0..100).filter(|_| budget.take("a", now)).count();
    assert_eq!(granted(&mut budget, start), 20);
    assert!(budget.take("b", start), "another object has its own");
    assert_eq!(granted(&mut budget, start + limits::EVENT_RECOVERY), 1);
    assert_eq!(granted(&mut budget, start + limits::EVENT_RECOVERY * 5 / 2), 1, "halves are kept");
    assert_eq!(granted(&mut budget, start + limits::EVENT_RECOVERY * 3), 1);
    assert_eq!(granted(&mut budget, start + limits::EVENT_RECOVERY * 100), 20);
}

#[test]
fn objects_that_were_quiet_for_long_are_not_kept() {
    let mut budget = Budget::default();
    let start = clock::instant();
    for object in 0..limits::EVENTS_OBJECTS {
        assert!(budget.take(&object.to_string(), start));
    }
    assert!(!budget.take("one too many", start));
    assert!(budget.take("one too many", start + limits::EVENT_RECOVERY));
    assert_eq!(budget.0.len(), 1);
}
