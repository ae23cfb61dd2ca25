//! The link against an edge that does as it is told.

use std::sync::Arc;
use std::time::Duration;

use proxima_edge_core::link::{FromEdge, LinkRefusal, LinkRefusalReason};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::fake_edge::{FakeEdge, PATIENCE, configure, envelope, ping, says};
use super::{Answer, Edges, Keys, Report, Target, Timings};

/// Nothing is due before the test says so.
const NEVER: Duration = Duration::from_secs(3_600);

const CALM: Timings = Timings { ping: NEVER, answer: NEVER, silence: NEVER, retry: Duration::from_millis(1) };

/// The operator's side: links, and what they report.
struct Operator {
    edges: Edges,
    reports: mpsc::Receiver<Report>,
    pin: String,
}

impl Operator {
    fn new(timings: Timings) -> Self {
        let keys = Keys::generate("operator").unwrap();
        let pin = keys.pin();
        let (sender, reports) = mpsc::channel(64);
        Self { edges: Edges::new(keys, sender, timings), reports, pin }
    }

    async fn next(&mut self) -> Report {
        timeout(PATIENCE, self.reports.recv()).await.expect("a report").expect("the links live")
    }

    async fn reports(&mut self, target: &str, answer: Answer) {
        let report = self.next().await;
        assert_eq!((report.target.as_str(), report.answer), (target, answer));
    }
}

#[tokio::test]
async fn an_edge_that_serves_nothing_is_configured_and_a_change_is_pushed() {
    let mut operator = Operator::new(CALM);
    let mut edge = FakeEdge::start(&operator.pin).await;
    let (first, second) = (envelope(1), envelope(2));
    operator.edges.hold(edge.target("e"), Arc::clone(&first)).unwrap();
    edge.answer(None, says(None)).await;
    operator.reports("e", Answer::Said(says(None))).await;
    edge.answer(Some(&configure(&first)), says(Some(&first))).await;
    operator.reports("e", Answer::Said(says(Some(&first)))).await;
    operator.edges.publish("e", Arc::clone(&second));
    edge.answer(Some(&configure(&second)), says(Some(&second))).await;
    operator.reports("e", Answer::Said(says(Some(&second)))).await;
}

#[tokio::test]
async fn an_edge_that_already_serves_what_is_wanted_is_only_pinged() {
    let mut operator = Operator::new(Timings { ping: Duration::from_millis(1), ..CALM });
    let mut edge = FakeEdge::start(&operator.pin).await;
    let wanted = envelope(3);
    operator.edges.hold(edge.target("e"), Arc::clone(&wanted)).unwrap();
    edge.answer(None, says(Some(&wanted))).await;
    edge.answer(Some(&ping(&wanted)), says(Some(&wanted))).await;
    edge.answer(Some(&ping(&wanted)), says(Some(&wanted))).await;
}

#[tokio::test]
async fn an_edge_that_already_serves_what_is_wanted_is_told_so_at_once() {
    let mut operator = Operator::new(CALM);
    let mut edge = FakeEdge::start(&operator.pin).await;
    let wanted = envelope(1);
    operator.edges.hold(edge.target("e"), Arc::clone(&wanted)).unwrap();
    edge.answer(None, says(Some(&wanted))).await;
    edge.answer(Some(&ping(&wanted)), says(Some(&wanted))).await;
}

#[tokio::test]
async fn a_ping_that_shows_something_else_is_followed_by_a_push() {
    let mut operator = Operator::new(Timings { ping: Duration::from_millis(1), ..CALM });
    let mut edge = FakeEdge::start(&operator.pin).await;
    let (old, wanted) = (envelope(1), envelope(2));
    operator.edges.hold(edge.target("e"), Arc::clone(&wanted)).unwrap();
    edge.answer(None, says(Some(&wanted))).await;
    edge.answer(Some(&ping(&wanted)), says(Some(&old))).await;
    edge.answer(Some(&configure(&wanted)), says(Some(&wanted))).await;
}

#[tokio::test]
async fn what_was_refused_is_not_sent_again_before_a_ping() {
    let mut operator = Operator::new(Timings { ping: Duration::from_millis(1), ..CALM });
    let mut edge = FakeEdge::start(&operator.pin).await;
    let wanted = envelope(2);
    let refusal = LinkRefusal { reason: LinkRefusalReason::StateNotWritten, detail: "disk full".to_owned() };
    let refusing = FromEdge { refused: Some(refusal), ..says(None) };
    operator.edges.hold(edge.target("e"), Arc::clone(&wanted)).unwrap();
    edge.answer(None, says(None)).await;
    edge.answer(Some(&configure(&wanted)), refusing.clone()).await;
    edge.answer(Some(&ping(&wanted)), says(None)).await;
    edge.answer(Some(&configure(&wanted)), says(Some(&wanted))).await;
    operator.reports("e", Answer::Said(says(None))).await;
    operator.reports("e", Answer::Said(refusing)).await;
}

#[tokio::test]
async fn a_lost_link_is_reported_and_opened_again() {
    let mut operator = Operator::new(CALM);
    let mut edge = FakeEdge::start(&operator.pin).await;
    let wanted = envelope(1);
    operator.edges.hold(edge.target("e"), Arc::clone(&wanted)).unwrap();
    drop(edge.next().await.reply);
    assert!(matches!(operator.next().await.answer, Answer::Lost(_)));
    edge.answer(None, says(Some(&wanted))).await;
    operator.reports("e", Answer::Said(says(Some(&wanted)))).await;
}

#[tokio::test]
async fn an_edge_that_owes_an_answer_is_silent_until_it_answers() {
    let mut operator = Operator::new(Timings { answer: Duration::from_millis(1), ..CALM });
    let mut edge = FakeEdge::start(&operator.pin).await;
    let wanted = envelope(1);
    operator.edges.hold(edge.target("e"), Arc::clone(&wanted)).unwrap();
    let greeting = edge.next().await;
    operator.reports("e", Answer::Silent).await;
    greeting.reply.send(says(Some(&wanted))).unwrap();
    operator.reports("e", Answer::Said(says(Some(&wanted)))).await;
}

#[tokio::test]
async fn an_edge_that_stays_silent_gets_a_new_connection() {
    let short = Duration::from_millis(1);
    let mut operator = Operator::new(Timings { answer: short, silence: short, ..CALM });
    let mut edge = FakeEdge::start(&operator.pin).await;
    operator.edges.hold(edge.target("e"), envelope(1)).unwrap();
    let _unanswered = edge.next().await;
    assert_eq!(edge.next().await.message, None, "a second connection");
}

#[tokio::test]
async fn a_slow_edge_delays_no_other() {
    let mut operator = Operator::new(CALM);
    let mut slow = FakeEdge::start(&operator.pin).await;
    let mut fast = FakeEdge::start(&operator.pin).await;
    let (first, second) = (envelope(1), envelope(2));
    operator.edges.hold(slow.target("slow"), Arc::clone(&first)).unwrap();
    operator.edges.hold(fast.target("fast"), Arc::clone(&first)).unwrap();
    let held_back = slow.next().await;
    fast.answer(None, says(Some(&first))).await;
    operator.reports("fast", Answer::Said(says(Some(&first)))).await;
    fast.answer(Some(&ping(&first)), says(Some(&first))).await;
    operator.reports("fast", Answer::Said(says(Some(&first)))).await;
    operator.edges.publish("slow", Arc::clone(&second));
    operator.edges.publish("fast", Arc::clone(&second));
    fast.answer(Some(&configure(&second)), says(Some(&second))).await;
    operator.reports("fast", Answer::Said(says(Some(&second)))).await;
    drop(held_back);
}

#[tokio::test]
async fn only_the_newest_of_several_changes_is_sent() {
    let mut operator = Operator::new(CALM);
    let mut edge = FakeEdge::start(&operator.pin).await;
    operator.edges.hold(edge.target("e"), envelope(1)).unwrap();
    let greeting = edge.next().await;
    for revision in 2..=9 {
        operator.edges.publish("e", envelope(revision));
    }
    greeting.reply.send(says(None)).unwrap();
    edge.answer(Some(&configure(&envelope(9))), says(Some(&envelope(9)))).await;
}

#[tokio::test]
async fn an_edge_with_another_key_than_the_pinned_one_is_not_talked_to() {
    let mut operator = Operator::new(CALM);
    let mut edge = FakeEdge::start(&operator.pin).await;
    let target = Target { pin: "0".repeat(64), ..edge.target("e") };
    operator.edges.hold(target, envelope(1)).unwrap();
    let Answer::Lost(reason) = operator.next().await.answer else { panic!("not lost") };
    assert!(reason.starts_with("cannot agree on TLS"), "{reason}");
    assert!(edge.heard.try_recv().is_err(), "the handshake must not complete");
}

#[tokio::test]
async fn an_edge_that_expects_another_operator_is_lost_and_gets_no_configuration() {
    let mut operator = Operator::new(CALM);
    let mut edge = FakeEdge::start(&"0".repeat(64)).await;
    operator.edges.hold(edge.target("e"), envelope(1)).unwrap();
    assert!(matches!(operator.next().await.answer, Answer::Lost(_)));
    assert!(edge.heard.try_recv().is_err(), "the handshake must not complete");
}

#[tokio::test]
async fn a_restarted_edge_is_another_target_and_a_released_one_none() {
    let mut operator = Operator::new(CALM);
    let mut old = FakeEdge::start(&operator.pin).await;
    let mut new = FakeEdge::start(&operator.pin).await;
    let wanted = envelope(1);
    operator.edges.hold(old.target("e"), Arc::clone(&wanted)).unwrap();
    old.answer(None, says(Some(&wanted))).await;
    operator.reports("e", Answer::Said(says(Some(&wanted)))).await;
    operator.edges.hold(Target { incarnation: 2, ..new.target("e") }, Arc::clone(&wanted)).unwrap();
    new.answer(None, says(Some(&wanted))).await;
    assert_eq!(operator.next().await.incarnation, 2);
    operator.edges.release("e");
    operator.edges.publish("e", envelope(2));
    assert!(operator.reports.try_recv().is_err());
}

#[tokio::test]
async fn an_edge_is_asked_what_it_serves_before_anything_is_wanted_of_it() {
    let mut operator = Operator::new(CALM);
    let mut edge = FakeEdge::start(&operator.pin).await;
    let (old, wanted) = (envelope(4), envelope(5));
    operator.edges.hold(edge.target("e"), None).unwrap();
    edge.answer(None, says(Some(&old))).await;
    operator.reports("e", Answer::Said(says(Some(&old)))).await;
    operator.edges.publish("e", Arc::clone(&wanted));
    edge.answer(Some(&configure(&wanted)), says(Some(&wanted))).await;
}

#[tokio::test]
async fn a_link_that_nobody_holds_any_more_ends_though_the_edge_owes_an_answer() {
    let mut operator = Operator::new(CALM);
    let mut edge = FakeEdge::start(&operator.pin).await;
    operator.edges.hold(edge.target("e"), envelope(1)).unwrap();
    let _unanswered = edge.next().await;
    drop(operator.edges);
    let ended = timeout(PATIENCE, operator.reports.recv()).await.expect("the task ends");
    assert!(ended.is_none(), "{ended:?}");
}
