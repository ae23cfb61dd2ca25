//! Ranges of what is being fetched whole already.
//!
//! A range that nobody has is fetched from the origin for its viewer alone. But where a fill is about to have it, its
//! viewer waits: a film that everybody begins at once is asked for once, also by players that ask for ranges.

use std::rc::Rc;

use proxima_edge_core::key::CacheKey;
use proxima_edge_core::limits;
use proxima_edge_core::origin_request::Purpose;
use proxima_edge_core::outcome::Reason;
use proxima_edge_core::part::{Part, Representation};

use super::progress::{FillHead, Head, Progress};
use super::{FillReader, Fills, Source, Wish, follow, followed, kept_by_another, variant_key};
use crate::edge::{Edge, Worker};
use crate::invalidations::Place;

/// Takes part in a fill in progress that has, or soon has, the ranges that are wished for.
pub async fn join_near(worker: &Rc<Worker>, wish: &Wish<'_>) -> Option<Source> {
    let edge = &worker.edge;
    let outgoing = wish.route.origin_request(wish.request, Purpose::Fill);
    if outgoing.unkeyed_credentials {
        return None;
    }
    let reader = in_progress(edge, &wish.own_key(&outgoing), wish.place)?;
    let late = reader.shared_head().is_some();
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
    let joined = same_variant && followed(edge, wish, &head, late).is_ok() && is_near(wish, &head, &reader);
    joined.then_some(Source::Fill(reader, Reason::CollapsedHit))
}

fn in_progress(edge: &Edge, key: &CacheKey, place: Option<Place>) -> Option<FillReader> {
    let fills: &Fills = &edge.fills;
    let shard = fills.shard(key);
    shard.get(key).filter(|progress| !edge.is_invalidated(progress.generation, place)).and_then(Progress::reader)
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
