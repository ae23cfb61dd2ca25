use super::*;
use http::{HeaderMap, StatusCode};
use proxima_edge_core::cache_control::CacheControl;
use proxima_edge_core::timestamp::Timestamp;
use std::time::Duration;

fn store(capacity: u64) -> MemoryStore {
    MemoryStore::new(capacity, Arc::new(Metrics::new()))
}

fn head(body_length: u64) -> StoredResponse {
    let now = Timestamp::from_millis(0);
    StoredResponse {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        cache_control: CacheControl::default(),
        expires: None,
        last_modified: None,
        date: now,
        requested_at: now,
        received_at: now,
        initial_age: Duration::ZERO,
        epoch: 0,
        generation: 0,
        turn: 0,
        vary: Vec::new(),
        varies_on_everything: false,
        body_length,
    }
}

fn key(text: &str) -> CacheKey {
    CacheKey::from_bytes(text.as_bytes())
}

async fn insert_small(store: &MemoryStore, name: &str, length: usize) {
    store.insert_whole(key(name), head(length as u64), Bytes::from(vec![1; length])).await;
}

async fn insert_film(store: &MemoryStore, name: &str, slices: u64) -> ObjectId {
    let object = store.new_object();
    for index in 0..slices {
        let slice = vec![2; usize::try_from(limits::SLICE_BYTES).unwrap()];
        store.insert_slice(object, index, Bytes::from(slice)).await;
    }
    store.insert_sliced(key(name), head(slices * limits::SLICE_BYTES), object).await;
    object
}

/// Length of the body found, or None.
async fn found(store: &MemoryStore, name: &str) -> Option<usize> {
    match store.lookup(&key(name), |_| Wanted::All).await {
        Lookup::Found(Found { body: FoundBody::Whole(bytes), .. }) => Some(bytes.len()),
        Lookup::Found(Found { body: FoundBody::Slices(slices), .. }) => Some(slices.iter().map(Bytes::len).sum()),
        Lookup::Found(Found { body: FoundBody::Sparse(slices), .. }) => Some(slices.values().map(Bytes::len).sum()),
        Lookup::Absent | Lookup::Varies(_) => None,
    }
}

#[tokio::test]
async fn small_and_large_responses_are_found_whole() {
    let store = store(64 << 20);
    insert_small(&store, "page", 1000).await;
    insert_film(&store, "film", 3).await;
    assert_eq!(found(&store, "page").await, Some(1000));
    assert_eq!(found(&store, "film").await, Some(3 << 20));
    assert_eq!(found(&store, "other").await, None);
}

#[tokio::test]
async fn a_response_that_lacks_a_slice_is_not_found() {
    let store = store(64 << 20);
    let object = insert_film(&store, "film", 3).await;
    store.shelf.load().cache.invalidate(&StoreKey::Slice(object, 1)).await;
    assert_eq!(found(&store, "film").await, None);
}

#[tokio::test]
async fn a_replaced_film_frees_its_slices() {
    let store = store(64 << 20);
    insert_film(&store, "film", 10).await;
    insert_film(&store, "film", 2).await;
    store.maintain().await;
    assert_eq!(found(&store, "film").await, Some(2 << 20));
    assert_eq!(store.metrics.cache_objects.get(), 3, "two slices and a head");
}

#[tokio::test]
async fn a_full_store_admits_what_is_new_and_stays_within_its_bound() {
    let store = store(16 << 20);
    for round in 0..100 {
        insert_small(&store, &format!("object-{round}"), 1 << 20).await;
    }
    store.maintain().await;
    assert_eq!(found(&store, "object-99").await, Some(1 << 20));
    assert_eq!(found(&store, "object-0").await, None);
    let measured = store.metrics.cache_bytes.get();
    assert!((12 << 20..=16 << 20).contains(&measured), "{measured} bytes");
    assert!(store.metrics.cache_evictions.get() > 0);
}

#[tokio::test]
async fn a_film_does_not_evict_small_objects_that_keep_being_asked_for() {
    let store = store(16 << 20);
    for number in 0..100 {
        insert_small(&store, &format!("small-{number}"), 1 << 10).await;
    }
    for film in 0..8 {
        insert_film(&store, &format!("film-{film}"), 4).await;
        for number in 0..100 {
            assert_eq!(found(&store, &format!("small-{number}")).await, Some(1 << 10), "after film {film}");
        }
    }
}

/// Offsets in MiB.
fn range(start: u64, end: u64) -> ByteRange {
    ByteRange { start: start << 20, end: end << 20 }
}

#[tokio::test]
async fn only_the_slices_that_are_wanted_are_needed() {
    let store = store(64 << 20);
    let object = insert_film(&store, "film", 5).await;
    store.shelf.load().cache.invalidate(&StoreKey::Slice(object, 2)).await;
    for (wanted, expected) in [
        (vec![], Some(vec![])),
        (vec![range(0, 1)], Some(vec![0])),
        (vec![range(0, 2)], Some(vec![0, 1])),
        (vec![range(0, 1), range(4, 5)], Some(vec![0, 4])),
        // Two parts of one slice.
        (vec![ByteRange { start: 0, end: 1 }, ByteRange { start: 5, end: (1 << 20) + 1 }], Some(vec![0, 1])),
        (vec![range(1, 3)], None),
        (vec![range(0, 1), range(2, 3)], None),
    ] {
        let indexes = match store.lookup(&key("film"), |_| Wanted::Parts(wanted.clone())).await {
            Lookup::Found(Found { body: FoundBody::Sparse(slices), .. }) => Some(slices.into_keys().collect()),
            _ => None,
        };
        assert_eq!(indexes, expected, "{wanted:?}");
    }
    assert_eq!(found(&store, "film").await, None);
}

#[tokio::test]
async fn names_that_responses_vary_by_are_remembered() {
    let store = store(1 << 20);
    let names: Arc<[HeaderName]> = Arc::from([http::header::ACCEPT_LANGUAGE]);
    store.insert_varies(key("page"), Arc::clone(&names), (0, 0)).await;
    assert!(matches!(store.lookup(&key("page"), |_| Wanted::All).await, Lookup::Varies(found) if found == names));
}

/// Recency of a response, and its length, which tells one from another.
async fn insert_of(store: &MemoryStore, name: &str, (generation, turn): (u64, u64), length: usize) -> bool {
    let head = StoredResponse { generation, turn, ..head(length as u64) };
    store.insert_whole(key(name), head, Bytes::from(vec![1; length])).await
}

#[tokio::test]
async fn an_older_response_does_not_replace_a_newer_one() {
    let store = store(64 << 20);
    assert!(insert_of(&store, "page", (1, 5), 15).await);
    for older in [(1, 4), (0, 9)] {
        assert!(!insert_of(&store, "page", older, 99).await);
        assert_eq!(found(&store, "page").await, Some(15));
    }
    for newer in [(1, 5), (1, 6), (2, 3)] {
        let length = usize::try_from(10 * newer.0 + newer.1).unwrap();
        assert!(insert_of(&store, "page", newer, length).await);
        assert_eq!(found(&store, "page").await, Some(length));
    }
}

#[tokio::test]
async fn an_older_film_that_is_not_kept_frees_its_slices() {
    let store = store(64 << 20);
    assert!(insert_of(&store, "film", (0, 5), 10).await);
    insert_film(&store, "film", 3).await;
    store.maintain().await;
    assert_eq!((found(&store, "film").await, store.shelf.load().cache.entry_count()), (Some(10), 1));
}

#[tokio::test]
async fn what_responses_vary_by_is_news_like_a_response() {
    let store = store(64 << 20);
    let names: Arc<[HeaderName]> = Arc::from([http::header::ACCEPT_LANGUAGE]);
    store.insert_varies(key("page"), Arc::clone(&names), (0, 5)).await;
    assert!(!insert_of(&store, "page", (0, 4), 10).await, "an older response that does not vary");
    assert!(matches!(store.lookup(&key("page"), |_| Wanted::All).await, Lookup::Varies(_)));
    assert!(insert_of(&store, "page", (0, 6), 10).await);
    store.insert_varies(key("page"), names, (0, 5)).await;
    assert_eq!(found(&store, "page").await, Some(10));
}

#[tokio::test]
async fn another_capacity_begins_with_an_empty_store_and_the_same_keeps_everything() {
    let store = store(8 << 20);
    insert_small(&store, "page", 10).await;
    store.resize(8 << 20);
    assert_eq!(found(&store, "page").await, Some(10));
    store.resize(4 << 20);
    assert_eq!(found(&store, "page").await, None);
    assert_eq!(store.largest_body(), 1 << 20);
    assert_eq!(store.metrics.cache_capacity_bytes.get(), 4 << 20);
}

async fn lookup(store: &MemoryStore, name: &str) -> Found {
    match store.lookup(&key(name), |_| Wanted::All).await {
        Lookup::Found(found) => found,
        other => unreachable!("{other:?}"),
    }
}

#[tokio::test]
async fn a_new_head_leaves_the_body_where_it_is() {
    let store = store(64 << 20);
    insert_small(&store, "page", 1000).await;
    insert_film(&store, "film", 3).await;
    for (name, length) in [("page", 1000), ("film", 3 << 20)] {
        let before = lookup(&store, name).await;
        let renewed = StoredResponse { epoch: 9, ..head(length) };
        store.refresh(key(name), &before, Arc::new(renewed)).await;
        let after = lookup(&store, name).await;
        assert_eq!(after.head.epoch, 9);
        let start = |found: &Found| match &found.body {
            FoundBody::Whole(bytes) => bytes.as_ptr(),
            FoundBody::Slices(slices) => slices[0].as_ptr(),
            FoundBody::Sparse(slices) => slices[&0].as_ptr(),
        };
        assert_eq!(start(&before), start(&after), "{name}: not a byte is copied");
        // What was found is no longer what is kept.
        store.refresh(key(name), &before, Arc::new(head(length))).await;
        store.forget(key(name), &before).await;
        assert_eq!(lookup(&store, name).await.head.epoch, 9);
        store.forget(key(name), &after).await;
        assert_eq!(found(&store, name).await, None);
    }
}

#[tokio::test]
async fn a_small_response_that_was_evicted_meanwhile_is_kept_with_its_new_head() {
    let store = store(64 << 20);
    insert_small(&store, "page", 1000).await;
    let before = lookup(&store, "page").await;
    store.remove(&key("page")).await;
    assert_eq!(found(&store, "page").await, None);
    store.refresh(key("page"), &before, Arc::new(head(1000))).await;
    assert_eq!(found(&store, "page").await, Some(1000));
}

#[tokio::test]
async fn what_is_removed_frees_its_slices() {
    let store = store(64 << 20);
    insert_film(&store, "film", 3).await;
    insert_film(&store, "other", 3).await;
    store.remove(&key("film")).await;
    let found = lookup(&store, "other").await;
    store.forget(key("other"), &found).await;
    store.maintain().await;
    assert_eq!(store.shelf.load().cache.entry_count(), 0);
}

/// Waits until the cache has freed what it let go: it does so when all who may be reading have passed.
async fn pinned_becomes(store: &MemoryStore, expected: i64) {
    for _ in 0..10_000 {
        if store.metrics.pinned_bytes.get() == expected {
            return;
        }
        store.lookup(&key("anything"), |_| Wanted::All).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(store.metrics.pinned_bytes.get(), expected);
}

/// What is copied counts as pinned until it is stored, and again from when it is no longer stored until it is freed.
#[tokio::test]
async fn what_only_its_reader_holds_is_pinned() {
    let store = store(8 << 20);
    let copy = |length: usize| store.copy_of([Bytes::from(vec![1; length])].iter());
    let body = copy(1_000);
    assert_eq!((body.len(), store.metrics.pinned_bytes.get()), (1_000, 1_000));
    store.insert_whole(key("page"), head(1_000), body.clone()).await;
    pinned_becomes(&store, 0).await;
    let Lookup::Found(page) = store.lookup(&key("page"), |_| Wanted::All).await else { unreachable!("just stored") };
    store.refresh(key("page"), &page, Arc::new(head(1_000))).await;
    drop(page);
    pinned_becomes(&store, 0).await;
    store.insert_whole(key("page"), head(10), copy(10)).await;
    pinned_becomes(&store, 1_000).await;
    drop(body);
    pinned_becomes(&store, 0).await;

    let slice = copy(1 << 20);
    let object = store.new_object();
    store.insert_slice(object, 0, slice.clone()).await;
    for index in 1..20 {
        store.insert_slice(object, index, copy(1 << 20)).await;
    }
    store.maintain().await;
    pinned_becomes(&store, 1 << 20).await;
    store.resize(4 << 20);
    drop(slice);
    pinned_becomes(&store, 0).await;
}

#[tokio::test]
async fn whether_a_variant_was_found_is_remembered_until_it_is_asked() {
    let store = store(64 << 20);
    let variant = StoredResponse { vary: vec![http::header::ACCEPT_LANGUAGE], ..head(4) };
    store.insert_whole(key("page"), variant.clone(), Bytes::from_static(b"body")).await;
    assert!(!store.take_used(&key("page")).await);
    let found = lookup(&store, "page").await;
    store.refresh(key("page"), &found, Arc::new(variant)).await;
    assert!(store.take_used(&key("page")).await, "a new head changes nothing of that");
    assert!(!store.take_used(&key("page")).await);
    assert!(!store.take_used(&key("other")).await);
}
