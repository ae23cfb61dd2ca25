//! Step 6 and 9, the store: where responses are kept.
//!
//! Owns what is kept and how much memory it takes; knows nothing of freshness, methods or origins. A body of at most
//! [`limits::SLICE_BYTES`] lives in the entry of its head, so that one lookup finds a whole small response; a larger one
//! lives in slices of that size, keyed by an object id that is fresh for every fill, so that slices of two fills never
//! mix. Everything kept is in allocations of exactly its size: a network buffer would pin a whole read.
//!
//! A response with `Vary` is kept under the key of its variant; under the primary key stands a marker that names the
//! headers (RFC 9111 § 4.1).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use bytes::Bytes;
use http::HeaderName;
use prometheus_client::metrics::gauge::Gauge;
use proxima_edge_core::entry::StoredResponse;
use proxima_edge_core::key::CacheKey;
use proxima_edge_core::limits;
use proxima_edge_core::range::ByteRange;

mod memory;

pub use memory::MemoryStore;

/// The store of this process. One implementation today: memory.
pub type Store = MemoryStore;

/// A response found in the store, with what was wanted of its body at hand.
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
    /// Some slices, by index: the wanted ones.
    Sparse(BTreeMap<u64, Bytes>),
}

impl FoundBody {
    /// The bytes of a range, one of those that were wanted, without a copy.
    pub fn cut(&self, range: ByteRange) -> Vec<Bytes> {
        let slice = |index: u64| match self {
            Self::Whole(_) => None,
            Self::Slices(slices) => slices.get(usize::try_from(index).ok()?),
            Self::Sparse(slices) => slices.get(&index),
        };
        if let Self::Whole(bytes) = self {
            return vec![cut(bytes, 0, range)];
        }
        slices_of(range).filter_map(|index| Some(cut(slice(index)?, index * limits::SLICE_BYTES, range))).collect()
    }
}

/// What is wanted of the body of a stored response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All of it.
    All,
    /// These parts at most; perhaps none.
    Parts(Vec<ByteRange>),
}

impl FoundBody {
    /// The body, where it is in one piece.
    fn whole(&self) -> Option<Bytes> {
        match self {
            Self::Whole(bytes) => Some(bytes.clone()),
            Self::Slices(_) | Self::Sparse(_) => None,
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

/// Indexes of the slices that a range is in.
fn slices_of(range: ByteRange) -> std::ops::Range<u64> {
    range.start / limits::SLICE_BYTES..slice_count(range.end)
}

/// What lies within a range of bytes that begin at `offset`.
fn cut(bytes: &Bytes, offset: u64, range: ByteRange) -> Bytes {
    let place = |at: u64| usize::try_from(at.saturating_sub(offset)).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(place(range.start)..place(range.end))
}

/// Gauge of [`Metrics::pinned_bytes`].
type Pinned = Gauge<i64, AtomicI64>;

/// A body or a slice of one. It counts as pinned from its making to its freeing, except while it is stored.
struct Allocation {
    bytes: Box<[u8]>,
    pinned: Pinned,
}

impl Allocation {
    /// A copy of exactly its size.
    fn copy_of<'a>(parts: impl Iterator<Item = &'a Bytes> + Clone, pinned: &Pinned) -> Bytes {
        let length = parts.clone().map(Bytes::len).sum();
        let mut copy = Vec::with_capacity(length);
        for part in parts {
            copy.extend_from_slice(part);
        }
        pinned.inc_by((length as u64).cast_signed());
        // A boxed slice has no spare capacity.
        Bytes::from_owner(Self { bytes: copy.into_boxed_slice(), pinned: pinned.clone() })
    }
}

impl AsRef<[u8]> for Allocation {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Allocation {
    fn drop(&mut self) {
        self.pinned.dec_by((self.bytes.len() as u64).cast_signed());
    }
}

/// A key as the store holds it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum StoreKey {
    Head(CacheKey),
    Slice(ObjectId, u32),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two whole slices and one of ten bytes, each byte telling where it is.
    fn slices() -> Vec<Bytes> {
        let slice = |index: u8, length: u64| Bytes::from(vec![index; usize::try_from(length).unwrap()]);
        vec![slice(0, limits::SLICE_BYTES), slice(1, limits::SLICE_BYTES), slice(2, 10)]
    }

    /// Which slices a range is cut from, and how much of each.
    fn check(body: &FoundBody, start: u64, end: u64, expected: &[(u8, usize)]) {
        let cut = body.cut(ByteRange { start, end });
        let seen: Vec<_> = cut.iter().map(|bytes| (bytes[0], bytes.len())).collect();
        assert_eq!(seen, expected, "{start}..{end}");
    }

    #[test]
    fn a_range_is_cut_from_the_slices_that_it_is_in() {
        const SLICE: u64 = limits::SLICE_BYTES;
        let whole_slice = 1 << 20;
        let sparse = FoundBody::Sparse((0..).zip(slices()).collect());
        for body in [FoundBody::Slices(slices()), sparse] {
            check(&body, 0, 1, &[(0, 1)]);
            check(&body, 5, SLICE, &[(0, whole_slice - 5)]);
            check(&body, SLICE, SLICE + 1, &[(1, 1)]);
            check(&body, SLICE - 1, SLICE + 2, &[(0, 1), (1, 2)]);
            check(&body, SLICE - 3, 2 * SLICE + 4, &[(0, 3), (1, whole_slice), (2, 4)]);
            check(&body, 2 * SLICE, 2 * SLICE + 10, &[(2, 10)]);
        }
        let body = FoundBody::Whole(Bytes::from_static(b"0123456789"));
        assert_eq!(body.cut(ByteRange { start: 2, end: 5 }), ["234"]);
    }
}
