use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use proxima_edge_core::link::{LinkRefusal, LinkRefusalReason};
use tokio::time::timeout;

use super::*;
use crate::link::fake_edge::{FakeEdge, PATIENCE, configure, envelope, ping, says};

/// Nothing is due before the test says so.
const NEVER: Duration = Duration::from_secs(3_600);
const CALM: Timings = Timings { ping: NEVER, answer: NEVER, silence: NEVER, retry: Duration::from_millis(1) };
/// The term of envelopes that [`envelope`] makes.
const TERM: u64 = 7;

/// A hub, and two edges of one namespace that it may find.
struct Bed {
    hub: Hub,
    news: News,
    pin: String,
    edges: [FakeEdge; 2],
}

impl Bed {
    async fn new(timings: Timings) -> Self {
        let operator = Keys::generate("operator").unwrap();
        let keys = Keys::generate("edge").unwrap();
        let first = FakeEdge::start_at((Ipv4Addr::LOCALHOST, 0).into(), &keys, &operator.pin()).await;
        let port = first.address.port();
        let second = FakeEdge::start_at((Ipv4Addr::new(127, 0, 0, 2), port).into(), &keys, &operator.pin()).await;
        let (hub, news) = Hub::with_timings(operator, TERM, Metrics::new(), timings, port);
        Self { hub, news, pin: keys.pin(), edges: [first, second] }
    }

    /// The Pods of these edges are those of the Distribution.
    fn set(&self, edges: &[usize]) {
        self.hub.set_pods(&shop(), edges.iter().map(|index| pod(*index)).collect(), Some(&self.pin));
    }

    /// The next news, which must be of the one Distribution.
    async fn news(&mut self) {
        assert_eq!(timeout(PATIENCE, self.news.next()).await.expect("news"), shop());
    }

    fn has_news(&self) -> bool {
        !lock(&self.news.0.changed).is_empty()
    }

    fn contacts(&self) -> Vec<Contact> {
        self.hub.observations(&shop()).into_iter().map(|edge| edge.contact).collect()
    }

    fn metric(&self, name: &str) -> String {
        let text = self.hub.0.metrics.to_text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
    }
}

fn shop() -> ObjectName {
    ObjectName { namespace: "web".to_owned(), name: "shop".to_owned() }
}

fn pod(index: usize) -> EdgePod {
    let last = u8::try_from(index + 1).unwrap();
    EdgePod {
        name: format!("shop-edge-{index}"),
        uid: format!("uid-{index}"),
        distribution: shop(),
        zone: "a".to_owned(),
        address: Some(IpAddr::from([127, 0, 0, last])),
        is_terminal: false,
        is_ready: index == 0,
        is_deleting: false,
        trouble: None,
    }
}

#[tokio::test]
async fn pods_are_kept_at_what_is_published_and_answers_are_news() {
    let mut bed = Bed::new(CALM).await;
    bed.set(&[0]);
    bed.hub.publish(&shop(), envelope(1));
    bed.edges[0].answer(None, says(None)).await;
    bed.news().await;
    bed.edges[0].answer(Some(&configure(&envelope(1))), says(Some(&envelope(1)))).await;
    bed.news().await;
    let [edge] = bed.hub.observations(&shop()).try_into().unwrap();
    assert!(edge.ready && edge.is_configured(&envelope(1)), "{edge:?}");
    assert_eq!(bed.hub.published(&shop()), Some(envelope(1)));
    assert_eq!((bed.hub.connections(), bed.metric("proxima_operator_link_connections").as_str()), (1, "1"));
}

#[tokio::test]
async fn pings_that_show_nothing_new_wake_nobody() {
    let mut bed = Bed::new(Timings { ping: Duration::from_millis(1), ..CALM }).await;
    bed.hub.publish(&shop(), envelope(1));
    bed.set(&[0]);
    bed.edges[0].answer(None, says(Some(&envelope(1)))).await;
    bed.news().await;
    for _ in 0..3 {
        bed.edges[0].answer(Some(&ping(&envelope(1))), says(Some(&envelope(1)))).await;
    }
    // The answers before this question were noted: they come through one channel, in order.
    let question = bed.edges[0].next().await;
    assert!(!bed.has_news());
    question.reply.send(says(None)).unwrap();
    bed.news().await;
}

#[tokio::test]
async fn what_is_published_bears_the_term_of_this_process() {
    let mut bed = Bed::new(CALM).await;
    bed.set(&[0]);
    bed.hub.publish(&shop(), Arc::new(Envelope { term: 3, ..(*envelope(1)).clone() }));
    bed.edges[0].answer(None, says(None)).await;
    bed.edges[0].answer(Some(&configure(&envelope(1))), says(Some(&envelope(1)))).await;
    assert_eq!(bed.hub.published(&shop()).unwrap().term, TERM);
}

#[tokio::test]
async fn the_time_from_publishing_to_the_answer_is_measured_of_edges_that_were_there() {
    let mut bed = Bed::new(CALM).await;
    bed.set(&[0, 1]);
    bed.edges[0].answer(None, says(None)).await;
    bed.news().await;
    let late = bed.edges[1].next().await;
    bed.hub.publish(&shop(), envelope(1));
    bed.edges[0].answer(Some(&configure(&envelope(1))), says(Some(&envelope(1)))).await;
    bed.news().await;
    assert_eq!(bed.metric("proxima_operator_push_latency_seconds_count"), "1");
    late.reply.send(says(None)).unwrap();
    bed.edges[1].answer(Some(&configure(&envelope(1))), says(Some(&envelope(1)))).await;
    while !bed.hub.observations(&shop())[1].is_configured(&envelope(1)) {
        bed.news().await;
    }
    assert_eq!(bed.metric("proxima_operator_push_latency_seconds_count"), "1", "it was not there yet");
}

#[tokio::test]
async fn an_answer_of_a_predecessor_is_not_noted() {
    let bed = Bed::new(CALM).await;
    bed.hub.set_pods(&shop(), vec![pod(0)], Some(&bed.pin));
    bed.hub.set_pods(&shop(), vec![EdgePod { uid: "other".to_owned(), ..pod(0) }], Some(&bed.pin));
    for (incarnation, contact) in [(1, Contact::Starting), (2, Contact::Silent)] {
        let target = "web/shop-edge-0".to_owned();
        bed.hub.0.note(Report { target, incarnation, answer: Answer::Silent });
        assert_eq!(bed.contacts(), [contact]);
    }
}

#[tokio::test]
async fn a_refusal_stands_until_something_else_is_wanted() {
    let mut bed = Bed::new(CALM).await;
    bed.hub.publish(&shop(), envelope(1));
    bed.set(&[0]);
    let refusal = LinkRefusal { reason: LinkRefusalReason::Invalid, detail: "no".to_owned() };
    bed.edges[0].answer(None, says(None)).await;
    let refusing = proxima_edge_core::link::FromEdge { refused: Some(refusal.clone()), ..says(None) };
    bed.edges[0].answer(Some(&configure(&envelope(1))), refusing).await;
    while bed.hub.observations(&shop())[0].refused.is_none() {
        bed.news().await;
    }
    bed.hub.publish(&shop(), envelope(2));
    assert_eq!(bed.hub.observations(&shop())[0].refused, None);
}

#[tokio::test]
async fn a_pod_that_is_gone_is_released_and_a_new_one_is_talked_to() {
    let mut bed = Bed::new(CALM).await;
    bed.hub.publish(&shop(), envelope(1));
    bed.set(&[0]);
    bed.edges[0].answer(None, says(Some(&envelope(1)))).await;
    bed.news().await;
    bed.set(&[1]);
    bed.edges[1].answer(None, says(Some(&envelope(1)))).await;
    bed.news().await;
    assert_eq!(bed.contacts(), [Contact::Answering]);
    assert_eq!(bed.hub.connections(), 1);
    let owners: Vec<_> = bed.hub.state().owners.keys().cloned().collect();
    assert_eq!(owners, ["web/shop-edge-1"]);
}

#[tokio::test]
async fn a_pod_that_was_replaced_under_its_name_is_another_one() {
    let mut bed = Bed::new(CALM).await;
    bed.hub.publish(&shop(), envelope(1));
    bed.set(&[0]);
    bed.edges[0].answer(None, says(Some(&envelope(1)))).await;
    bed.news().await;
    let successor = EdgePod { uid: "other".to_owned(), ..pod(0) };
    bed.hub.set_pods(&shop(), vec![successor], Some(&bed.pin));
    assert_eq!(bed.contacts(), [Contact::Starting]);
    assert_eq!(bed.hub.highest_revision(&shop(), "u"), None, "nothing is taken from the predecessor");
    assert_eq!(bed.hub.connections(), 0);
}

#[tokio::test]
async fn a_pod_without_an_address_or_at_its_end_is_not_talked_to() {
    let bed = Bed::new(CALM).await;
    let pods = vec![EdgePod { address: None, ..pod(0) }, EdgePod { is_terminal: true, ..pod(1) }];
    bed.hub.set_pods(&shop(), pods, Some(&bed.pin));
    assert_eq!(bed.contacts(), []);
}

#[tokio::test]
async fn nobody_is_talked_to_before_the_pin_is_known() {
    let mut bed = Bed::new(CALM).await;
    bed.hub.publish(&shop(), envelope(1));
    bed.hub.set_pods(&shop(), vec![pod(0)], None);
    assert_eq!(bed.contacts(), [Contact::Starting]);
    assert!(bed.edges[0].heard.try_recv().is_err());
    bed.set(&[0]);
    bed.edges[0].answer(None, says(Some(&envelope(1)))).await;
    bed.news().await;
    assert_eq!(bed.contacts(), [Contact::Answering]);
}

#[tokio::test]
async fn another_pin_makes_another_link() {
    let mut bed = Bed::new(CALM).await;
    bed.hub.publish(&shop(), envelope(1));
    bed.hub.set_pods(&shop(), vec![pod(0)], Some(&"0".repeat(64)));
    bed.news().await;
    assert!(matches!(bed.contacts()[..], [Contact::Lost(_)]));
    bed.set(&[0]);
    bed.edges[0].answer(None, says(Some(&envelope(1)))).await;
    while bed.contacts() != [Contact::Answering] {
        bed.news().await;
    }
}

#[tokio::test]
async fn nothing_is_counted_as_lost_before_each_edge_answered_or_failed() {
    let mut bed = Bed::new(CALM).await;
    let now = clock::instant();
    bed.set(&[0, 1]);
    bed.hub.publish(&shop(), envelope(1));
    bed.edges[0].answer(None, says(Some(&envelope(1)))).await;
    bed.news().await;
    assert!(!bed.hub.is_settled(&shop(), now));
    assert!(bed.hub.is_settled(&shop(), clock::instant() + limits::LINK_SETTLE), "it had its time");
    drop(bed.edges[1].next().await.reply);
    bed.news().await;
    assert!(bed.hub.is_settled(&shop(), now));
}

#[tokio::test]
async fn a_distribution_without_pods_is_settled_at_once_and_an_unknown_one_after_a_while() {
    let bed = Bed::new(CALM).await;
    let now = clock::instant();
    assert!(!bed.hub.is_settled(&shop(), now));
    assert!(bed.hub.is_settled(&shop(), clock::instant() + limits::LINK_SETTLE));
    bed.hub.publish(&shop(), envelope(1));
    bed.set(&[]);
    assert!(bed.hub.is_settled(&shop(), now));
}

#[tokio::test]
async fn edges_tell_their_revision_before_anything_is_published() {
    let mut bed = Bed::new(CALM).await;
    bed.set(&[0, 1]);
    for (edge, revision) in [(0, 8), (1, 9)] {
        bed.edges[edge].answer(None, says(Some(&envelope(revision)))).await;
        bed.news().await;
    }
    assert_eq!(bed.hub.highest_revision(&shop(), "u"), Some(9));
    assert_eq!(bed.hub.highest_revision(&shop(), "another Distribution of this name"), None);
}

#[tokio::test]
async fn a_forgotten_distribution_leaves_nothing_behind() {
    let mut bed = Bed::new(CALM).await;
    bed.set(&[0]);
    bed.hub.publish(&shop(), envelope(1));
    bed.edges[0].answer(None, says(Some(&envelope(1)))).await;
    bed.news().await;
    bed.hub.forget(&shop());
    assert_eq!((bed.contacts(), bed.hub.published(&shop()), bed.hub.connections()), (vec![], None, 0));
    // Its Pods end later, and are told of until then.
    bed.set(&[0]);
    assert_eq!(bed.contacts(), [Contact::Starting]);
    bed.set(&[]);
    let state = bed.hub.state();
    assert!(state.distributions.is_empty() && state.owners.is_empty());
}

#[tokio::test]
async fn everything_ends_with_the_last_clone() {
    let mut bed = Bed::new(CALM).await;
    bed.set(&[0]);
    let _unanswered = bed.edges[0].next().await;
    let ended = Arc::downgrade(&bed.hub.0);
    drop(bed.hub.clone());
    assert!(ended.upgrade().is_some());
    drop(bed.hub);
    assert!(ended.upgrade().is_none());
}
