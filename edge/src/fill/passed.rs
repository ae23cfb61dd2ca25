//! What requests that pass the cache by do to it: unsafe ones invalidate (RFC 9111 § 4.4), a POST may leave what a GET
//! would give (RFC 9110 § 9.3.3), a HEAD brings news of what is stored for GET (RFC 9111 § 4.3.5).

use std::rc::Rc;
use std::sync::Arc;

use http::Method;
use proxima_edge_core::origin_request::Purpose;
use proxima_edge_core::outcome::{NotStored, Reason};
use proxima_edge_core::request::ViewerRequest;
use proxima_edge_core::route::Route;
use proxima_edge_core::validation::HeadVerdict;
use tokio::sync::oneshot;

use super::progress::Progress;
use super::task::Fill;
use super::{Fills, Joined, Source, Wish, led};
use crate::edge::{Edge, Worker};
use crate::invalidations::Place;
use crate::origin::{Fetched, OriginError, RequestBody};
use crate::server::interim::Interim;
use crate::store::{Lookup, Wanted};

/// A request that is being passed to the origin, and how things stood before. Dropped without an answer, because its
/// viewer left, it invalidates like one that was answered: the origin may have done what it asks.
pub struct Asked<'a> {
    edge: &'a Edge,
    route: &'a Route,
    request: &'a ViewerRequest,
    epoch: u64,
    generation: u64,
    /// What to invalidate when nothing better becomes known.
    pending: Option<Place>,
}

impl<'a> Asked<'a> {
    /// To be called before the origin is asked.
    pub fn begin(edge: &'a Edge, route: &'a Route, request: &'a ViewerRequest) -> Self {
        let place = || edge.invalidations.place(&route.resource(request));
        let (epoch, generation) = (edge.plans.epoch(), edge.invalidations.generation());
        Self { edge, route, request, epoch, generation, pending: route.may_invalidate(request).then(place) }
    }

    /// There is no answer. Where the origin cannot have seen the request, everything is as it was.
    pub fn failed(mut self, error: OriginError) -> Source {
        let unseen = [
            Reason::OriginDnsError,
            Reason::OriginAddressForbidden,
            Reason::OriginConnectError,
            Reason::OriginTlsError,
            Reason::OriginConnectTimeout,
            Reason::OriginBusy,
        ];
        if unseen.contains(&error.reason) {
            self.pending = None;
        }
        Source::Failed(error)
    }

    /// Whether something that was invalidated or purged meanwhile might be newer than the answer.
    fn is_overtaken(&self) -> bool {
        let place = || self.edge.invalidations.place(&self.route.resource(self.request));
        self.edge.plans.epoch() != self.epoch || self.edge.invalidations.covers(self.generation, place)
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.pending {
            self.edge.invalidations.invalidate(place);
        }
    }
}

/// Takes note of the response to a request that was passed to the origin, before its viewer sees it.
pub async fn passed(worker: &Rc<Worker>, mut asked: Asked<'_>, fetched: Fetched, reason: Reason) -> Source {
    let (route, request) = (asked.route, asked.request);
    let stores = route.stores_for_get(request, &fetched.head) && !asked.is_overtaken();
    asked.pending = None;
    for resource in route.invalidates(request, fetched.head.status, &fetched.head.headers) {
        let invalidations = &worker.edge.invalidations;
        invalidations.invalidate(invalidations.place(&resource));
    }
    if stores {
        return store_for_get(worker, route, request, fetched, reason).await;
    }
    Source::Origin(Box::new(fetched), reason, NotStored::Bypassed)
}

/// Stores the response to a POST under the key of a GET while it streams.
async fn store_for_get(
    worker: &Rc<Worker>,
    route: &Route,
    request: &ViewerRequest,
    fetched: Fetched,
    reason: Reason,
) -> Source {
    let edge = &worker.edge;
    let get = ViewerRequest { method: Method::GET, has_body: false, ..request.clone() };
    let key = route.cache_key(&get);
    let varies = match edge.store.lookup(&key, |_| Wanted::Parts(Vec::new())).await {
        Lookup::Varies(names) => Some(names),
        Lookup::Absent | Lookup::Found(_) => None,
    };
    let place = Some(edge.invalidations.place(&route.resource(&get)));
    let wish = Wish { route, request: &get, key, varies, kept: None, place, reason, interim: Interim::none() };
    let outgoing = Rc::new(route.origin_request(&get, Purpose::Fill));
    // Somebody has begun to fetch it since: theirs is at least as new.
    let Joined::Lead(permit) = Fills::join(edge, &wish.own_key(&outgoing), place) else {
        return Source::Origin(Box::new(fetched), reason, NotStored::Bypassed);
    };
    let reader = Progress::reader(&permit.progress).expect("a fill that has just begun has room for its first reader");
    let (initiator, unshared) = oneshot::channel();
    tokio::task::spawn_local(Fill::new(worker, &wish, &outgoing, Some(initiator)).finish(permit, fetched));
    led(reader, unshared, reason).await.unwrap_or_else(|| {
        let detail = "the task that stores the response died";
        Source::Failed(OriginError::new(Reason::InternalError, detail))
    })
}

/// Passes a HEAD on: its response has no body that anybody could wait for, but it tells of what is stored.
pub async fn head(worker: &Rc<Worker>, wish: &Wish<'_>) -> Source {
    let edge = &worker.edge;
    let outgoing = wish.route.origin_request(wish.request, Purpose::Pass);
    let (epoch, generation) = (edge.plans.epoch(), edge.invalidations.generation());
    let fetched = match worker.origins.fetch(wish.route, &outgoing, RequestBody::Empty, &wish.interim).await {
        Ok(fetched) => fetched,
        Err(error) => return wish.stand_in(edge).unwrap_or(Source::Failed(error)),
    };
    if wish.route.behavior.cache_policy.is_origin_failure(fetched.head.status)
        && let Some(source) = wish.stand_in(edge)
    {
        return source;
    }
    if let Some(kept) = &wish.kept {
        let key = wish.own_key(&wish.route.origin_request(wish.request, Purpose::Fill));
        match wish.route.updated_by_head(&kept.head, &outgoing, &fetched.head, epoch) {
            HeadVerdict::Kept(mut head) => {
                head.generation = generation;
                edge.store.refresh(key, kept, Arc::from(head)).await;
            }
            HeadVerdict::Forgotten => edge.store.forget(key, kept).await,
            HeadVerdict::Untouched => {}
        }
    }
    Source::Origin(Box::new(fetched), wish.reason, NotStored::Method)
}
