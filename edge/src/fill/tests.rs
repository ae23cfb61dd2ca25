use futures::FutureExt;
use tokio::task::LocalSet;

use super::*;
use crate::fixture::edge;

mod heads;
mod refreshes;

fn key(text: &str) -> CacheKey {
    CacheKey::from_bytes(text.as_bytes())
}

fn worker() -> Rc<Worker> {
    Rc::new(Worker::new(edge()))
}

fn lead(edge: &Arc<Edge>, name: &str) -> Permit {
    match Fills::join(edge, &key(name), None, false) {
        Joined::Lead(permit) => permit,
        Joined::Follow(_) | Joined::Full => unreachable!("nobody else fills {name}"),
    }
}

fn follow(edge: &Arc<Edge>, name: &str) -> FillReader {
    match Fills::join(edge, &key(name), None, false) {
        Joined::Follow(reader) => reader,
        Joined::Lead(_) | Joined::Full => unreachable!("{name} is being filled"),
    }
}

#[test]
fn one_leads_and_the_others_follow() {
    let edge = edge();
    let permit = lead(&edge, "page");
    let _reader = follow(&edge, "page");
    let _other = lead(&edge, "other page");
    assert_eq!(edge.metrics.fills.get(), 2);
    drop(permit);
    assert_eq!(edge.metrics.fills.get(), 1);
    lead(&edge, "page");
}

#[tokio::test]
async fn after_a_panic_of_the_task_exactly_one_follower_leads_anew() {
    let edge = edge();
    let permit = lead(&edge, "page");
    let followers: Vec<_> = (0..10).map(|_| follow(&edge, "page")).collect();
    let local = LocalSet::new();
    local
        .run_until(async {
            let task = tokio::task::spawn_local(async move {
                let _permit = permit;
                tokio::task::yield_now().await;
                std::panic::resume_unwind(Box::new("on purpose"));
            });
            let heads = futures::future::join_all(followers.iter().map(FillReader::head)).await;
            assert!(heads.iter().all(|head| matches!(head, Head::Abandoned)));
            assert!(task.await.unwrap_err().is_panic());
        })
        .await;
    let leaders: Vec<_> = followers.iter().map(|_| Fills::join(&edge, &key("page"), None, false)).collect();
    assert_eq!(leaders.iter().filter(|joined| matches!(joined, Joined::Lead(_))).count(), 1);
}

#[test]
fn a_fill_that_turns_out_to_be_a_variant_is_found_under_its_variant() {
    let edge = edge();
    let mut permit = lead(&edge, "page");
    permit.move_to(key("page, in French"));
    let _reader = follow(&edge, "page, in French");
    let _another = lead(&edge, "page");
}

#[test]
fn a_variant_that_somebody_else_fills_stays_theirs() {
    let edge = edge();
    let mut permit = lead(&edge, "page");
    let theirs = lead(&edge, "page, in French");
    permit.move_to(key("page, in French"));
    drop(permit);
    let reader = follow(&edge, "page, in French");
    assert!(reader.head().now_or_never().is_none(), "their fill goes on");
    drop(theirs);
    assert!(matches!(reader.head().now_or_never(), Some(Head::Abandoned)));
}

#[test]
fn a_fetch_with_credentials_makes_way_for_one_without() {
    let edge = edge();
    let Joined::Lead(theirs) = Fills::join(&edge, &key("page"), None, true) else {
        unreachable!("nobody else fills it")
    };
    let Joined::Follow(_) = Fills::join(&edge, &key("page"), None, true) else { unreachable!("one at a time") };
    let permit = lead(&edge, "page");
    drop(theirs);
    let reader = follow(&edge, "page");
    assert!(reader.head().now_or_never().is_none(), "that one goes on");
    drop(permit);
}

#[test]
fn fills_in_progress_are_bounded_and_their_places_free_again() {
    let edge = edge();
    let lead_as_many_as_may_be = || {
        let joined = (0..2 * limits::FILLS).map(|number| Fills::join(&edge, &key(&format!("{number}")), None, false));
        joined.filter(|joined| matches!(joined, Joined::Lead(_))).collect::<Vec<_>>()
    };
    let leads = lead_as_many_as_may_be();
    assert!(leads.len() <= limits::FILLS && leads.len() > limits::FILLS * 9 / 10, "{} fills", leads.len());
    assert_eq!(edge.metrics.fills.get(), i64::try_from(leads.len()).unwrap());
    drop(leads);
    assert_eq!(edge.metrics.fills.get(), 0);
    assert_eq!(edge.fills.shards.iter().map(|shard| shard.lock().unwrap().len()).sum::<usize>(), 0);
    assert!(matches!(Fills::join(&edge, &key("one more"), None, false), Joined::Lead(_)));
}

#[test]
fn followers_of_one_fill_are_bounded_and_their_places_free_again() {
    let edge = edge();
    let _permit = lead(&edge, "page");
    let mut followers: Vec<_> = (0..limits::FOLLOWERS_PER_FILL).map(|_| follow(&edge, "page")).collect();
    assert!(matches!(Fills::join(&edge, &key("page"), None, false), Joined::Full));
    followers.pop();
    let _last = follow(&edge, "page");
    assert!(matches!(Fills::join(&edge, &key("page"), None, false), Joined::Full));
}

#[test]
fn a_fill_that_began_before_an_invalidation_takes_no_new_followers() {
    let edge = edge();
    let (route, request) = crate::fixture::route(|_| {});
    let place = edge.invalidations.place(&route.resource(&request));
    let join = || Fills::join(&edge, &key("page"), Some(place), false);
    let Joined::Lead(old) = join() else { unreachable!("nobody else fills it") };
    assert!(matches!(join(), Joined::Follow(_)));
    edge.invalidations.invalidate(place);
    let Joined::Lead(new) = join() else { unreachable!("the old one is out of date") };
    // The end of the old one takes nothing from the new one.
    drop(old);
    assert!(matches!(join(), Joined::Follow(_)));
    drop(new);
}

#[test]
fn an_answer_that_is_made_a_fill_is_as_old_as_its_request() {
    let edge = edge();
    let (route, request) = crate::fixture::route(|_| {});
    let place = edge.invalidations.place(&route.resource(&request));
    let begun = Begun::now(&edge);
    edge.invalidations.invalidate(place);
    let Joined::Lead(permit) = Fills::join_since(&edge, &key("page"), Some(place), false, begun) else {
        unreachable!("nobody else fills it")
    };
    assert!(edge.is_invalidated(permit.progress.begun.generation, Some(place)));
}
