use futures::FutureExt;
use tokio::task::LocalSet;

use super::*;
use crate::fixture::edge;

mod refreshes;

fn key(text: &str) -> CacheKey {
    CacheKey::from_bytes(text.as_bytes())
}

fn lead(edge: &Arc<Edge>, name: &str) -> Permit {
    match Fills::join(edge, &key(name), None) {
        Joined::Lead(permit) => permit,
        Joined::Follow(_) | Joined::Full => unreachable!("nobody else fills {name}"),
    }
}

fn follow(edge: &Arc<Edge>, name: &str) -> FillReader {
    match Fills::join(edge, &key(name), None) {
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
    let leaders: Vec<_> = followers.iter().map(|_| Fills::join(&edge, &key("page"), None)).collect();
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
