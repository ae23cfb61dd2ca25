//! Which resources unsafe requests have invalidated (RFC 9111 § 4.4), by generation.
//!
//! A count of all invalidations, and for each of a fixed number of places the count at the last one there. What was
//! fetched at an earlier count than that of its resource's place is not used any more. Resources are assigned to places by
//! a keyed hash; those that share one are invalidated together, which costs a fetch but never serves what is out of date.
//! So the table is bounded, needs no lock and forgets nothing. A hit that is younger than the last invalidation of all
//! reads one number; any other one reads two and hashes its URI.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use proxima_edge_core::invalidation::Resource;
use proxima_edge_core::limits;

/// The table of this process.
#[derive(Debug, Default)]
pub struct Invalidations {
    latest: AtomicU64,
    /// Made with the first invalidation: most edges never see one.
    places: OnceLock<Box<[AtomicU64]>>,
    hasher: RandomState,
}

/// Where a resource's generation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(usize);

/// What an invalidation found and left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalidated {
    /// Generation of the place before; larger than this one's where another came in between.
    pub before: u64,
    /// This one's.
    pub generation: u64,
}

impl Invalidations {
    /// How many there have been. Read it before a request goes to the origin.
    pub fn generation(&self) -> u64 {
        self.latest.load(Ordering::Acquire)
    }

    /// Where this resource's generation stands.
    pub fn place(&self, resource: &Resource<'_>) -> Place {
        let places = limits::INVALIDATION_SLOTS as u64;
        Place(usize::try_from(self.hasher.hash_one(resource) % places).expect("less than a usize"))
    }

    /// From now on, what was fetched of this resource before is not used.
    pub fn invalidate(&self, Place(place): Place) -> Invalidated {
        let generation = self.latest.fetch_add(1, Ordering::AcqRel) + 1;
        let places = self
            .places
            .get_or_init(|| std::iter::repeat_with(AtomicU64::default).take(limits::INVALIDATION_SLOTS).collect());
        let before = places[place].fetch_max(generation, Ordering::AcqRel);
        Invalidated { before, generation }
    }

    /// Whether what was fetched at this generation has been invalidated since.
    pub fn covers(&self, generation: u64, place: impl FnOnce() -> Place) -> bool {
        if generation >= self.generation() {
            return false;
        }
        let Some(places) = self.places.get() else { return false };
        places[place().0].load(Ordering::Acquire) > generation
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_fetched_before_an_invalidation_is_covered_and_what_comes_after_is_not() {
        let table = Invalidations::default();
        let place = || Place(7);
        let before = table.generation();
        assert!(!table.covers(before, place));
        table.latest.fetch_add(1, Ordering::SeqCst);
        assert!(!table.covers(before, place), "no place has been invalidated");
        table.places.get_or_init(|| (0..9).map(AtomicU64::new).collect())[7].store(1, Ordering::SeqCst);
        assert!(table.covers(before, place));
        assert!(!table.covers(before, || Place(0)), "another resource");
        assert!(!table.covers(table.generation(), place));
    }

    #[test]
    fn without_an_invalidation_since_the_resource_is_not_even_hashed() {
        let table = Invalidations::default();
        assert!(!table.covers(0, || unreachable!("nothing was invalidated")));
    }

    #[test]
    fn any_number_of_invalidations_takes_the_same_room_and_none_is_forgotten() {
        let table = Invalidations::default();
        let before = table.generation();
        for number in 0..3 * limits::INVALIDATION_SLOTS {
            table.invalidate(Place(number % limits::INVALIDATION_SLOTS));
        }
        assert_eq!(table.places.get().unwrap().len(), limits::INVALIDATION_SLOTS);
        let places = || (0..limits::INVALIDATION_SLOTS).map(Place);
        assert!(places().all(|place| table.covers(before, || place)));
        assert!(places().all(|place| !table.covers(table.generation(), || place)));
    }

    #[test]
    fn resources_seldom_share_a_place() {
        let table = Invalidations::default();
        let (route, request) = crate::fixture::route(|_| {});
        let place = |number: u32| {
            let mut request = request.clone();
            request.uri = format!("/items/{number}").parse().unwrap();
            table.place(&route.resource(&request)).0
        };
        let places: std::collections::BTreeSet<_> = (0..1_000).map(place).collect();
        assert!(places.len() > 980, "{} places for a thousand resources", places.len());
        assert!(places.iter().all(|&place| place < limits::INVALIDATION_SLOTS));
    }

    #[test]
    fn an_invalidation_tells_what_came_before_it_at_its_place() {
        let table = Invalidations::default();
        assert_eq!(table.invalidate(Place(7)), Invalidated { before: 0, generation: 1 });
        assert_eq!(table.invalidate(Place(8)), Invalidated { before: 0, generation: 2 });
        assert_eq!(table.invalidate(Place(7)), Invalidated { before: 1, generation: 3 });
    }
}
