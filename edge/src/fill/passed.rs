//! What requests that pass the cache by do to it: unsafe ones invalidate (RFC 9111 § 4.4), a POST may leave what a GET
//! would give (RFC 9110 § 9.3.3), a HEAD brings news of what is stored for GET (RFC 9111 § 4.3.5).

use std::rc::Rc;
use std::sync::Arc;

use http::Method;
use proxima_edge_core::origin_request::Purpose;
use proxima_edge_core::outcome::{NotStored, Reason};
use proxima_edge_core::request::ViewerRequest;
use proxima_edge_core::route::Route;
use proxima_edge_core::storable::OriginResponse;
use proxima_edge_core::validation::HeadVerdict;
use tokio::sync::oneshot;

use super::progress::Progress;
use super::task::Fill;
use super::{Begun, Fills, Joined, Source, Wish, led};
use crate::edge::{Edge, Worker};
use crate::invalidations::{Invalidated, Place};
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
    begun: Begun,
    /// What to invalidate when nothing better becomes known.
    pending: Option<Place>,
}

impl<'a> Asked<'a> {
    /// To be called before the origin is asked.
    pub fn begin(edge: &'a Edge, route: &'a Route, request: &'a ViewerRequest) -> Self {
        let place = || edge.invalidations.place(&route.resource(request));
        let (epoch, begun) = (edge.plans.epoch(), Begun::now(edge));
        Self { edge, route, request, epoch, begun, pending: route.may_invalidate(request).then(place) }
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

    /// Invalidates what the request, now that it is answered, may have changed.
    fn invalidate(&mut self, answer: &OriginResponse) {
        self.pending = None;
        let invalidations = &self.edge.invalidations;
        let own = invalidations.place(&self.route.resource(self.request));
        for resource in self.route.invalidates(self.request, answer.status, &answer.headers) {
            let place = invalidations.place(&resource);
            let Invalidated { before, generation } = invalidations.invalidate(place);
            // The answer is newer than what it invalidates itself, but not than what others have.
            if place == own && before <= self.begun.generation {
                self.begun.generation = generation;
            }
        }
    }

    /// Whether something that was invalidated or purged meanwhile might be newer than the answer.
    fn is_overtaken(&self) -> bool {
        let place = || self.edge.invalidations.place(&self.route.resource(self.request));
        self.edge.plans.epoch() != self.epoch || self.edge.invalidations.covers(self.begun.generation, place)
    }

    /// Makes a fill of the answer, as if it had been asked for what is wished for, and reads it from there; unless
    /// somebody has begun to fetch that since, or it is overtaken: then theirs is at least as new.
    pub(super) async fn share(self, worker: &Rc<Worker>, wish: &Wish<'_>, fetched: Fetched) -> Source {
        let outgoing = Rc::new(wish.route.origin_request(wish.request, Purpose::Fill));
        let key = wish.own_key(&outgoing);
        let join = || Fills::join_since(&worker.edge, &key, wish.place, outgoing.unkeyed_credentials, self.begun);
        let joined = (!self.is_overtaken()).then(join);
        let Some(Joined::Lead(permit)) = joined else {
            return Source::Origin(Box::new(fetched), wish.reason, NotStored::Bypassed);
        };
        let reader =
            Progress::reader(&permit.progress).expect("a fill that has just begun has room for its first reader");
        let (initiator, unshared) = oneshot::channel();
        let fill = Fill::new(worker, wish, &outgoing, Some(initiator)).asked_at(self.epoch);
        tokio::task::spawn_local(fill.finish(permit, fetched));
        led(reader, unshared, wish.reason).await.unwrap_or_else(|| {
            let detail = "the task that stores the response died";
            Source::Failed(OriginError::new(Reason::InternalError, detail))
        })
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.pending {
            self.edge.invalidations.invalidate(place);
        }
    }
}

/// Takes note of the response to a request that was passed to the origin, before its viewer sees it. The response to a
/// POST that is what a GET would bring is stored as that.
pub async fn passed(worker: &Rc<Worker>, mut asked: Asked<'_>, fetched: Fetched, reason: Reason) -> Source {
    let (edge, route, request) = (&worker.edge, asked.route, asked.request);
    asked.invalidate(&fetched.head);
    if !route.stores_for_get(request, &fetched.head) {
        return Source::Origin(Box::new(fetched), reason, NotStored::Bypassed);
    }
    let get = ViewerRequest { method: Method::GET, has_body: false, ..request.clone() };
    let key = route.cache_key(&get);
    let varies = match edge.store.lookup(&key, |_| Wanted::Parts(Vec::new())).await {
        Lookup::Varies(names) => Some(names),
        Lookup::Absent | Lookup::Found(_) => None,
    };
    let place = Some(edge.invalidations.place(&route.resource(&get)));
    let wish = Wish { route, request: &get, key, varies, kept: None, place, reason, interim: Interim::none() };
    asked.share(worker, &wish, fetched).await
}

/// Passes a HEAD on: its response has no body that anybody could wait for, but it tells of what is stored.
pub async fn head(worker: &Rc<Worker>, wish: &Wish<'_>) -> Source {
    let edge = &worker.edge;
    let outgoing = wish.route.origin_request(wish.request, Purpose::Pass);
    let (epoch, begun) = (edge.plans.epoch(), Begun::now(edge));
    let fetched = match worker.origins.fetch(wish.route, &outgoing, RequestBody::Empty, &wish.interim).await {
        Ok(fetched) => fetched,
        Err(error) => return wish.stand_in(edge).unwrap_or(Source::Failed(error)),
    };
    if wish.route.behavior.cache_policy.is_origin_failure(fetched.head.status)
        && let Some(source) = wish.stand_in(edge)
    {
        return source;
    }
    // What was invalidated between its lookup and the reading of the generation would come to life again.
    let kept = wish.kept.as_ref().filter(|kept| !edge.is_invalidated(kept.head.generation, wish.place));
    if let Some(kept) = kept {
        let key = wish.own_key(&wish.route.origin_request(wish.request, Purpose::Fill));
        match wish.route.updated_by_head(&kept.head, &outgoing, &fetched.head, epoch) {
            HeadVerdict::Kept(mut head) => {
                begun.stamp(&mut head);
                edge.store.refresh(key, kept, Arc::from(head)).await;
            }
            HeadVerdict::Forgotten => edge.store.forget(key, kept).await,
            HeadVerdict::Untouched => {}
        }
    }
    Source::Origin(Box::new(fetched), wish.reason, NotStored::Method)
}
