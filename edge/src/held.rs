//! Memory that only unfinished responses hold, and its bound.
//!
//! Bodies live in the store, and in the responses that are being sent: what a response sends stays in memory when the
//! store has long evicted it. How much that is tells the gauge `pinned_bytes`, which is exact: an allocation counts from
//! its making to its freeing, except while it is stored; so do the bytes of a fill that are not in allocations of the
//! store yet. What is stored and being sent costs nothing beside the store.
//!
//! Beyond the bound somebody has to go, and that is whoever takes his bytes most slowly: he would hold them longest. The
//! large responses of each worker are on a list of its own, so that beginning one shares no lock with other workers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;

use futures::task::AtomicWaker;
use proxima_edge_core::limits;
use tokio::time::Instant;

use crate::metrics::Metrics;

/// What all workers' responses hold.
pub struct Held {
    metrics: Arc<Metrics>,
    workers: Mutex<Vec<Arc<Responses>>>,
    /// Bytes of responses that have been cut and are not gone yet.
    leaving: Arc<AtomicU64>,
}

/// Large responses in progress on one worker.
#[derive(Debug)]
pub struct Responses {
    list: Mutex<HashMap<u64, Weak<Sending>>>,
    next: AtomicU64,
    leaving: Arc<AtomicU64>,
}

/// A large response in progress: how fast its viewer takes it, and whether it has to go.
#[derive(Debug)]
pub struct Sending {
    responses: Arc<Responses>,
    number: u64,
    began: Instant,
    length: u64,
    /// Bytes that the HTTP library got.
    given: AtomicU64,
    /// Those of them that it keeps, as far as that is known.
    kept: AtomicU64,
    /// There is nothing to give, which is not the viewer's fault.
    waits: AtomicBool,
    /// Bytes that it held when it was cut.
    cut: AtomicU64,
    task: AtomicWaker,
}

impl Held {
    /// Nothing.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, workers: Mutex::default(), leaving: Arc::default() }
    }

    /// The list of a new worker.
    pub fn worker(&self) -> Arc<Responses> {
        let leaving = Arc::clone(&self.leaving);
        let responses = Arc::new(Responses { list: Mutex::default(), next: AtomicU64::new(0), leaving });
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&responses));
        responses
    }

    /// Whether responses hold more than they may beside a cache of this size. Of those that have been cut is known that
    /// they are about to go.
    pub fn is_too_much(&self, cache_bytes: u64) -> bool {
        self.excess(limits::held_bytes(cache_bytes)) > 0
    }

    /// The same, whoever is about to go.
    pub fn is_short(&self, cache_bytes: u64) -> bool {
        self.bytes() > limits::held_bytes(cache_bytes)
    }

    fn bytes(&self) -> u64 {
        u64::try_from(self.metrics.pinned_bytes.get()).unwrap_or(0)
    }

    fn excess(&self, bound: u64) -> u64 {
        self.bytes().saturating_sub(self.leaving.load(Ordering::Relaxed)).saturating_sub(bound)
    }

    /// Cuts the slowest responses off when all hold too much together: until they hold a quarter less than they may, so
    /// that this is not done for every slice that comes. False: they hold too much still, and nobody is left to cut.
    pub fn relieve(&self, cache_bytes: u64) -> bool {
        // Whoever else is about it does it for all.
        let Ok(workers) = self.workers.try_lock() else { return true };
        if !self.is_too_much(cache_bytes) {
            return true;
        }
        let now = Instant::now();
        let mut sending: Vec<_> = workers.iter().flat_map(|responses| responses.candidates()).collect();
        sending.sort_by_cached_key(|sending| sending.speed(now));
        let goal = limits::held_bytes(cache_bytes) / 4 * 3;
        for slowest in &sending {
            if self.excess(goal) == 0 {
                break;
            }
            slowest.cut();
            self.metrics.slowest_cut.inc();
        }
        !self.is_too_much(cache_bytes)
    }
}

impl Responses {
    /// Notes a response of this length, where it is known.
    pub fn begin(self: &Arc<Self>, length: Option<u64>) -> Arc<Sending> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let sending = Arc::new(Sending {
            responses: Arc::clone(self),
            number,
            began: Instant::now(),
            length: length.unwrap_or(limits::UNSTORED_WINDOW_BYTES),
            given: AtomicU64::new(0),
            kept: AtomicU64::new(0),
            waits: AtomicBool::new(false),
            cut: AtomicU64::new(0),
            task: AtomicWaker::new(),
        });
        self.list().insert(number, Arc::downgrade(&sending));
        sending
    }

    fn list(&self) -> MutexGuard<'_, HashMap<u64, Weak<Sending>>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that may be cut. Whoever is waiting for more has taken all there was.
    fn candidates(&self) -> Vec<Arc<Sending>> {
        // Upgraded ones are dropped by the caller, without the lock that their end takes.
        let all: Vec<_> = self.list().values().filter_map(Weak::upgrade).collect();
        all.into_iter().filter(|sending| sending.is_slow()).collect()
    }
}

impl Sending {
    /// The HTTP library got bytes.
    pub fn gave(&self, bytes: u64) {
        self.given.fetch_add(bytes, Ordering::Relaxed);
        self.waits.store(false, Ordering::Relaxed);
    }

    /// There is nothing to give.
    pub fn waits(&self) {
        self.waits.store(true, Ordering::Relaxed);
    }

    /// The HTTP library keeps bytes that it got, until [`Self::let_go`].
    pub fn keeps(&self, bytes: u64) {
        self.kept.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The HTTP library has written bytes, or thrown them away.
    pub fn let_go(&self, bytes: u64) {
        self.kept.fetch_sub(bytes, Ordering::Release);
        self.task.wake();
    }

    /// Bytes that the HTTP library keeps.
    pub fn kept(&self) -> u64 {
        self.kept.load(Ordering::Acquire)
    }

    /// Wakes this task when the response is cut, or something of it has been let go.
    pub fn wakes(&self, waker: &Waker) {
        self.task.register(waker);
    }

    /// Whether it has to go.
    pub fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire) > 0
    }

    /// Whether more could be taken of it, and it may still be cut.
    fn is_slow(&self) -> bool {
        !self.is_cut() && (self.kept() > 0 || !self.waits.load(Ordering::Relaxed))
    }

    fn taken(&self) -> u64 {
        self.given.load(Ordering::Relaxed).saturating_sub(self.kept())
    }

    /// By what the slowest is found: whether it is too young to tell, then bytes per second.
    fn speed(&self, now: Instant) -> (bool, u64) {
        let age = now.saturating_duration_since(self.began);
        let millis = u64::try_from(age.as_millis()).unwrap_or(u64::MAX).max(1);
        (age < limits::SPEED_GRACE, self.taken().saturating_mul(1_000) / millis)
    }

    fn cut(&self) {
        let held = self.length.saturating_sub(self.taken()).max(1);
        self.responses.leaving.fetch_add(held, Ordering::Relaxed);
        self.cut.store(held, Ordering::Release);
        self.task.wake();
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.responses.leaving.fetch_sub(*self.cut.get_mut(), Ordering::Relaxed);
        let number = self.number;
        self.responses.list().remove(&number);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const CACHE: u64 = 256 << 20;
    const BOUND: u64 = 64 << 20;
    const MIB: u64 = 1 << 20;

    fn held() -> (Held, Arc<Responses>, Arc<Metrics>) {
        let metrics = Arc::new(Metrics::new());
        let held = Held::new(Arc::clone(&metrics));
        let responses = held.worker();
        (held, responses, metrics)
    }

    fn pin(metrics: &Metrics, bytes: u64) {
        metrics.pinned_bytes.set(bytes.cast_signed());
    }

    /// Responses of 16 MiB, of which these many MiB have been taken.
    async fn responses_that_took(responses: &Arc<Responses>, mib: &[u64]) -> Vec<Arc<Sending>> {
        let begun = mib.iter().map(|_| responses.begin(Some(16 * MIB))).collect::<Vec<_>>();
        begun.iter().zip(mib).for_each(|(sending, mib)| sending.gave(mib * MIB));
        tokio::time::sleep(Duration::from_secs(10)).await;
        begun
    }

    fn cut(sending: &[Arc<Sending>]) -> Vec<bool> {
        sending.iter().map(|sending| sending.is_cut()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_cut_within_the_bound() {
        let (held, responses, metrics) = held();
        let sending = responses_that_took(&responses, &[0]).await;
        pin(&metrics, BOUND);
        assert!(held.relieve(CACHE));
        assert_eq!(cut(&sending), [false]);
    }

    #[tokio::test(start_paused = true)]
    async fn beyond_the_bound_the_slowest_are_cut_and_no_more_than_need_be() {
        let (held, responses, metrics) = held();
        let sending = responses_that_took(&responses, &[8, 1, 4, 2]).await;
        // 17 MiB must go until a quarter of the bound is free: 15 of the slowest, and some of the next.
        pin(&metrics, BOUND + MIB);
        held.relieve(CACHE);
        assert_eq!(cut(&sending), [false, true, false, true]);
        held.relieve(CACHE);
        assert_eq!(cut(&sending), [false, true, false, true], "what was cut is on its way out");
        assert_eq!(metrics.slowest_cut.get(), 2);
        drop(sending);
        assert_eq!(held.leaving.load(Ordering::Relaxed), 0);
        assert_eq!(responses.list().len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_the_origin_is_not_slow() {
        let (held, responses, metrics) = held();
        let sending = responses_that_took(&responses, &[0, 1]).await;
        sending[0].waits();
        pin(&metrics, BOUND + 1);
        held.relieve(CACHE);
        assert_eq!(cut(&sending), [false, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_just_begun_goes_last() {
        let (held, responses, metrics) = held();
        let sending = responses_that_took(&responses, &[8, 8, 8]).await;
        let young = responses.begin(Some(16 * MIB));
        pin(&metrics, BOUND + MIB);
        held.relieve(CACHE);
        assert_eq!((cut(&sending), young.is_cut()), (vec![true, true, true], false));
        pin(&metrics, 2 * BOUND);
        assert!(!held.relieve(CACHE), "that is not enough, and nobody is left");
        assert!(young.is_cut());
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_library_keeps_is_not_taken() {
        let (held, responses, metrics) = held();
        let sending = responses_that_took(&responses, &[12, 2, 8]).await;
        sending[0].keeps(12 * MIB);
        pin(&metrics, BOUND + 1);
        held.relieve(CACHE);
        assert_eq!(cut(&sending), [true, true, false]);
    }
}
