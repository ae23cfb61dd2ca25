//! Step 6 and 9, the store: where responses are kept.
//!
//! Owns what is kept and how much memory it takes; knows nothing of freshness, methods or origins. A body of at most
//! [`limits::SLICE_BYTES`] lives in the entry of its head, so that one lookup finds a whole small response; a larger one
//! lives in slices of that size, keyed by an object id that is fresh for every fill, so that slices of two fills never
//! mix. Everything kept is in allocations of exactly its size: a network buffer would pin a whole read.
//!
//! A response with `Vary` is kept under the key of its variant; under the primary key stands a marker that names the
//! headers (RFC 9111 § 4.1).

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderName;
use proxima_edge_core::entry::StoredResponse;
use proxima_edge_core::key::CacheKey;
use proxima_edge_core::limits;

mod memory;

pub use memory::MemoryStore;

/// The store of this process. One implementation today: memory.
pub type Store = MemoryStore;

/// A response found in the store, with its whole body at hand.
#[derive(Clone, Debug)]
pub struct Found {
    /// The head.
    pub head: Arc<StoredResponse>,
    /// The body, held in memory for as long as this value lives.
    pub body: FoundBody,
}

/// Body of a [`Found`] response.
#[derive(Clone, Debug)]
pub enum FoundBody {
    /// In one piece.
    Whole(Bytes),
    /// In slices of [`limits::SLICE_BYTES`]; the last may be shorter.
    Slices(Vec<Bytes>),
}

impl FoundBody {
    /// The body, where it is in one piece.
    fn whole(&self) -> Option<Bytes> {
        match self {
            Self::Whole(bytes) => Some(bytes.clone()),
            Self::Slices(_) => None,
        }
    }
}

/// What a lookup under a primary key finds.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// Nothing, or not all of it.
    Absent,
    /// A response.
    Found(Found),
    /// Responses under this key differ by these request headers: look up the variant.
    Varies(Arc<[HeaderName]>),
}

/// Identity of one fill's slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ObjectId(u64);

/// How many slices a body of this length takes.
fn slice_count(length: u64) -> u64 {
    length.div_ceil(limits::SLICE_BYTES)
}

/// A copy in an allocation of exactly its size.
pub fn exact_copy<'a>(parts: impl Iterator<Item = &'a Bytes> + Clone) -> Bytes {
    let length = parts.clone().map(Bytes::len).sum();
    let mut copy = Vec::with_capacity(length);
    for part in parts {
        copy.extend_from_slice(part);
    }
    // A boxed slice has no spare capacity, and `Bytes` takes it over without copying.
    Bytes::from(copy.into_boxed_slice())
}

/// A key as the store holds it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum StoreKey {
    Head(CacheKey),
    Slice(ObjectId, u32),
}
