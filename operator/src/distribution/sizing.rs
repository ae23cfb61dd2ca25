//! How much memory an edge takes. Pure; shared by the judgement of limits and by those who set them.

use proxima_edge_core::limits;

/// Memory of an edge beside its cache, bytes: the process, its threads, and buffers of open connections.
const BESIDE_THE_CACHE: u64 = 64 << 20;
/// Memory limits are whole mebibytes, for people to read.
const UNIT: u64 = 1 << 20;

/// Bytes that an edge with a cache of this size needs at most: the cache, what viewers may hold beside it, 15 % of both
/// that bookkeeping and the allocator's fragmentation take, and what the process needs beside, rounded up to a mebibyte.
pub fn memory_needed(cache_bytes: u64) -> u64 {
    let bodies = cache_bytes.saturating_add(limits::held_bytes(cache_bytes));
    let margin = bodies.div_ceil(20).saturating_mul(3);
    bodies.saturating_add(margin).saturating_add(BESIDE_THE_CACHE).div_ceil(UNIT).saturating_mul(UNIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_needs_its_cache_what_viewers_hold_a_margin_and_a_constant_in_whole_mebibytes() {
        for (cache, needed) in [(1 << 20, 102 << 20), (100 << 20, 216 << 20), (256 << 20, 432 << 20)] {
            assert_eq!(memory_needed(cache), needed, "{cache}");
        }
    }

    #[test]
    fn the_largest_number_does_not_overflow() {
        assert!(memory_needed(u64::MAX) >= u64::MAX - UNIT);
    }
}
