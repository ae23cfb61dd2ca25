//! Ranges of what is not stored.
//!
//! A range that nobody has is fetched from the origin for its viewer alone. But where a fill is about to have it, its
//! viewer waits: a film that everybody begins at once is asked for once, also by players that ask for ranges. And an
//! origin that takes no notice of Range sends the whole; then that is a fill like any other, from which the viewer gets
//! its range (CloudFront: "How CloudFront processes partial requests for an object").

use std::rc::Rc;
use std::sync::Arc;

use proxima_edge_core::collapse::Sharing;
use proxima_edge_core::key::CacheKey;
use proxima_edge_core::limits;
use proxima_edge_core::origin_request::Purpose;
use proxima_edge_core::outcome::{NotStored, Reason};
use proxima_edge_core::part::{Part, Representation};
use proxima_edge_core::storable;

use super::passed::Asked;
use super::progress::{FillHead, Head, Progress};
use super::{FillReader, Fills, Source, Wish, follow, joined_at, kept_by_another, variant_key};
use crate::edge::{Edge, Worker};
use crate::invalidations::Place;
use crate::origin::RequestBody;

/// Answers a request for ranges of what is not stored.
pub async fn ranges(worker: &Rc<Worker>, wish: &Wish<'_>) -> Source {
    if let Some(source) = join_near(worker, wish).await {
        return source;
    }
    let outgoing = wish.route.origin_request(wish.request, Purpose::Pass);
    let asked = Asked::begin(&worker.edge, wish.route, wish.request);
    let fetched = match worker.origins.fetch(wish.route, &outgoing, RequestBody::Empty, &wish.interim).await {
        Ok(fetched) => fetched,
        Err(error) => return asked.failed(error),
    };
    if !storable::is_whole(&fetched.head) {
        return Source::Origin(Box::new(fetched), wish.reason, NotStored::Bypassed);
    }
    // Of those who asked at the same moment the first makes the fill, and the whole need not come to the others too.
    if has_begun(&worker.edge, wish)
        && let Some(source) = join_near(worker, wish).await
    {
        return source;
    }
    asked.share(worker, wish, fetched).await
}

/// Whether there is a fill of what is wished for, and more is known of it than that it was asked for.
fn has_begun(edge: &Edge, wish: &Wish<'_>) -> bool {
    let outgoing = wish.route.origin_request(wish.request, Purpose::Fill);
    in_progress(edge, &wish.own_key(&outgoing), wish.place).is_some_and(|reader| reader.shared_head().is_some())
}

/// Takes part in a fill in progress that has, or soon has, the ranges that are wished for.
async fn join_near(worker: &Rc<Worker>, wish: &Wish<'_>) -> Option<Source> {
    let edge = &worker.edge;
    let outgoing = wish.route.origin_request(wish.request, Purpose::Fill);
    if outgoing.unkeyed_credentials {
        return None;
    }
    let reader = in_progress(edge, &wish.own_key(&outgoing), wish.place)?;
    let joined = joined_at(edge, &reader);
    let (reader, head) = match follow(&edge.metrics, reader).await {
        (reader, Head::Streaming(head)) => (reader, head),
        (_, Head::Kept(found, standing)) => {
            let reason = kept_by_another(edge, wish, &found, standing)?;
            return Some(Source::Kept(found, reason));
        }
        (_, Head::Failed(error)) => return Some(Source::Failed(error)),
        (_, Head::NotStorable | Head::Abandoned | Head::Pending) => return None,
    };
    let same_variant = variant_key(wish, &outgoing, &head) == head.key;
    let shared = same_variant && wish.route.shares(&head.stored, wish.request, joined) == Sharing::Shared;
    (shared && is_near(wish, &head, &reader)).then_some(Source::Fill(reader, Reason::CollapsedHit))
}

fn in_progress(edge: &Edge, key: &CacheKey, place: Option<Place>) -> Option<FillReader> {
    let fills: &Fills = &edge.fills;
    let shard = fills.shard(key);
    let valid = |progress: &&Arc<Progress>| !edge.is_invalidated(progress.begun.generation, place);
    shard.get(key).filter(|progress| valid(progress) && progress.is_open()).and_then(Progress::reader)
}

/// Whether the last of the ranges begins not far behind what has arrived.
fn is_near(wish: &Wish<'_>, head: &FillHead, reader: &FillReader) -> bool {
    let arriving = Representation::arriving(&head.stored, head.response.body_length);
    match Part::of(wish.request, &arriving) {
        Part::Excerpt(excerpt) => {
            let reach = reader.received() + limits::RANGE_WAIT_BYTES;
            excerpt.ranges().last().is_some_and(|range| range.start <= reach)
        }
        Part::Whole | Part::NotModified | Part::Unsatisfiable(_) => true,
    }
}
