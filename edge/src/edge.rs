//! What all parts of one edge process share. Plain wiring: nothing here decides.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;
use proxima_edge_core::respond::Identity;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::fill::Fills;
use crate::held::{Held, Responses};
use crate::invalidations::{Invalidations, Place};
use crate::log::AccessLog;
use crate::metrics::Metrics;
use crate::origin::Origins;
use crate::plan_source::PlanSource;
use crate::store::Store;

/// One edge process: shared by all workers.
pub struct Edge {
    /// What marks every response.
    pub identity: Identity,
    /// Zone of this edge.
    pub zone: String,
    /// Name of this edge.
    pub name: String,
    /// The time.
    pub clock: Clock,
    /// What is configured.
    pub plans: PlanSource,
    /// What is cached.
    pub store: Store,
    /// What is being fetched.
    pub fills: Fills,
    /// What responses hold in memory beside the store.
    pub held: Held,
    /// What unsafe requests have invalidated.
    pub invalidations: Invalidations,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where lines about requests go.
    pub log: AccessLog,
    /// Names for requests.
    pub request_ids: RequestIds,
    /// Where origins may not be.
    pub origin_guard: OriginGuard,
    /// Cancelled when the process is to end: no new connections, open ones finish their requests.
    pub shutdown: CancellationToken,
    /// Cancelled when requests in progress have had their time: workers end, and what they had is logged as aborted.
    pub cut_off: CancellationToken,
}

impl Edge {
    /// Whether what was fetched at this generation has been invalidated since.
    pub fn is_invalidated(&self, generation: u64, place: Option<Place>) -> bool {
        place.is_some_and(|place| self.invalidations.covers(generation, || place))
    }
}

/// One worker thread's part: what is not shared with other threads.
pub struct Worker {
    /// The process that it belongs to.
    pub edge: Arc<Edge>,
    /// Connections to origins.
    pub origins: Origins,
    /// Large responses in progress.
    pub responses: Arc<Responses>,
}

impl Worker {
    /// A worker without connections. Must run where its tasks will.
    pub fn new(edge: Arc<Edge>) -> Self {
        Self { origins: Origins::new(&edge), responses: edge.held.worker(), edge }
    }
}

/// Which addresses origins may not have.
#[derive(Clone, Debug, Default)]
pub struct OriginGuard {
    /// Loopback addresses are fine.
    pub allow_loopback: bool,
    /// Listeners of this very process, never fine. An unspecified address stands for all of the machine's.
    pub own: Vec<SocketAddr>,
}

/// Marks of this edge. Zone and name were checked when the command line was read.
pub fn identity(zone: &str, name: &str) -> Identity {
    let value = |text: &str| HeaderValue::from_str(text).expect("labels are visible ASCII");
    Identity { zone: value(zone), via: value(&format!("1.1 {name} (proxima)")) }
}

/// Name of one request: 28 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId([u8; 28]);

impl RequestId {
    /// The digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hexadecimal digits are ASCII")
    }
}

/// Makes names for requests: unique in this process, and by a random part among all others.
#[derive(Debug)]
pub struct RequestIds {
    process: [u8; 16],
    next: AtomicU64,
}

impl RequestIds {
    /// With a random part of this process.
    pub fn new() -> Self {
        // Each RandomState has fresh keys from the operating system: enough for a name, and no crate more.
        let random = RandomState::new().build_hasher().finish().to_be_bytes();
        let mut process = [0; 16];
        write_hex(&random, &mut process);
        Self { process, next: AtomicU64::new(1) }
    }

    /// The next name.
    pub fn next(&self) -> RequestId {
        let number = self.next.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let mut digits = [0; 28];
        let (process, count) = digits.split_at_mut(self.process.len());
        process.copy_from_slice(&self.process);
        // 48 bits: more than a process lives to see.
        write_hex(&number[2..], count);
        RequestId(digits)
    }
}

fn write_hex(bytes: &[u8], digits: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(digits.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

impl Default for RequestIds {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_differ_and_count_up() {
        let ids = RequestIds::new();
        let (first, second) = (ids.next(), ids.next());
        assert!(first.as_str().ends_with("000000000001"), "{first:?}");
        assert!(second.as_str().ends_with("000000000002"), "{second:?}");
        assert_eq!(first.as_str().len(), 28);
        assert_ne!(RequestIds::new().next(), first);
    }

    #[test]
    fn identity_is_what_viewers_see() {
        let identity = identity("sa-east-1a", "shop-edge-0");
        assert_eq!(identity.zone, "sa-east-1a");
        assert_eq!(identity.via, "1.1 shop-edge-0 (proxima)");
    }
}
