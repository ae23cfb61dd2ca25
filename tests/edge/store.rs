//! What the cache keeps, and what it costs.

use proxima_edge_core::edge_config::EdgeConfig;
use proxima_edge_core::limits;
use proxima_tests::viewer::get_with;
use proxima_tests::{Edge, Origin, Reply, config};

const MIB: u64 = 1 << 20;

/// An origin whose paths end in the length of their bodies: `/name/1024`.
async fn sized() -> Origin {
    let body: std::sync::Arc<[u8]> = (0..64 * MIB).map(|index| (index % 253) as u8).collect::<Vec<_>>().into();
    Origin::answering(move |head| {
        let length: usize = head.target().rsplit('/').next().and_then(|size| size.parse().ok()).unwrap_or(0);
        Reply::fresh(&body[..length])
    })
    .await
}

fn with_memory(origin: &Origin, memory: u64) -> EdgeConfig {
    let mut edge_config = config::site(origin.address);
    edge_config.cache.memory = memory;
    edge_config
}

/// Fetches in order on one connection, and counts hits.
async fn fetch_all(edge: &Edge, paths: &[String]) -> usize {
    let mut viewer = edge.viewer().await;
    let mut hits = 0;
    for path in paths {
        let answer = viewer.get(path).await;
        let length = path.rsplit('/').next().and_then(|size| size.parse().ok());
        assert_eq!((answer.status(), answer.body.complete), (200, true), "{path}");
        assert_eq!(Some(answer.body.bytes.len()), length, "{path}");
        hits += usize::from(answer.x_cache() == "Hit from proxima");
    }
    hits
}

fn paths(name: &str, count: u64, length: u64) -> Vec<String> {
    (0..count).map(|index| format!("/{name}{index}/{length}")).collect()
}

#[tokio::test]
async fn a_cache_filled_five_times_over_stays_within_its_memory() {
    const MEMORY: u64 = 256 * MIB;
    let origin = sized().await;
    let edge = Edge::serve(&with_memory(&origin, MEMORY)).await;
    let empty = edge.process.resident();

    let mut mixed = Vec::new();
    for round in 0..5 {
        mixed.extend(paths(&format!("huge{round}-"), 2, 64 * MIB));
        mixed.extend(paths(&format!("large{round}-"), 4, 16 * MIB));
        mixed.extend(paths(&format!("middle{round}-"), 48, MIB));
        mixed.extend(paths(&format!("small{round}-"), 1_500, 10 * 1024));
        mixed.extend(paths(&format!("tiny{round}-"), 1_000, 1024));
    }
    let mut peak = 0;
    for part in mixed.chunks(100) {
        fetch_all(&edge, part).await;
        peak = peak.max(edge.process.resident());
    }

    let held = edge.metric_reaches("proxima_edge_cache_bytes", |bytes| bytes <= MEMORY as f64).await;
    eprintln!("cache {held} of {MEMORY} bytes, resident: empty {empty}, peak {peak}");
    assert!(held > 0.6 * MEMORY as f64, "a full cache uses what it was given: {held}");
    assert!(peak <= MEMORY + MEMORY * 15 / 100 + 40 * MIB, "resident memory reached {peak} bytes");
}

#[tokio::test]
async fn a_film_does_not_evict_a_small_set_that_is_in_demand() {
    let origin = sized().await;
    let edge = Edge::serve(&with_memory(&origin, 32 * MIB)).await;
    let small = paths("small", 200, 10 * 1024);
    assert_eq!(fetch_all(&edge, &small).await, 0);
    for segment in paths("film", 20, 7 * MIB) {
        fetch_all(&edge, &[segment]).await;
        assert_eq!(fetch_all(&edge, &small).await, 200, "all of them are still there");
    }
}

#[tokio::test]
async fn a_full_cache_admits_what_is_new() {
    let origin = sized().await;
    let edge = Edge::serve(&with_memory(&origin, 32 * MIB)).await;
    let old = paths("old", 3_200, 10 * 1024);
    fetch_all(&edge, &old).await;
    fetch_all(&edge, &old[old.len() - 1_000..]).await;
    let new = paths("new", 16, MIB);
    assert_eq!(fetch_all(&edge, &new).await, 0);
    let hits = fetch_all(&edge, &new).await;
    assert!(hits >= 15, "of 16 new objects {hits} were kept");
}

#[tokio::test]
async fn an_object_in_slices_is_stored_whole_or_not_at_all() {
    let origin = sized().await;
    let edge = Edge::serve(&with_memory(&origin, 16 * MIB)).await;
    // Each needs four slices; together they need more than there is, so that slices are evicted while heads remain.
    for _ in 0..3 {
        for path in paths("sliced", 6, 4 * MIB - 100) {
            fetch_all(&edge, std::slice::from_ref(&path)).await;
        }
    }
    assert!(edge.metrics().await.sum("proxima_edge_cache_bytes") <= (16 * MIB) as f64);
}

#[tokio::test]
async fn a_small_object_costs_little_more_than_its_body() {
    let origin = sized().await;
    let edge = Edge::serve(&with_memory(&origin, 64 * MIB)).await;
    fetch_all(&edge, &paths("tiny", 5_000, 1024)).await;
    let held = edge.metric_reaches("proxima_edge_cache_objects", |objects| objects >= 5_000.0).await;
    let bytes = edge.metrics().await.sum("proxima_edge_cache_bytes");
    let each = bytes / held;
    assert!((1_024.0..4_096.0).contains(&each), "an object of 1 KiB is weighed as {each} bytes");
}

#[tokio::test]
async fn of_one_resource_so_many_variants_are_kept_and_the_oldest_that_is_not_asked_for_makes_room() {
    let origin = Origin::answering(|head| {
        Reply::fresh(head.field("x-any").unwrap_or_default().to_owned()).field("Vary", "X-Any")
    })
    .await;
    let edge = Edge::serve(&config::origin_controlled(origin.address)).await;
    let any = async |number: usize| get_with(edge.http, "/page", &format!("X-Any: {number}\r\n")).await;
    for number in 0..limits::VARIANTS {
        any(number).await.expect("Miss", &number.to_string());
    }
    any(0).await.expect("Hit", "0");
    any(limits::VARIANTS).await.expect("Miss", &limits::VARIANTS.to_string());
    any(0).await.expect("Hit", "0");
    any(2).await.expect("Hit", "2");
    any(1).await.expect("Miss", "1");
    // 2 was asked for meanwhile, and so was 0 again.
    any(3).await.expect("Miss", "3");
    any(0).await.expect("Hit", "0");
    any(2).await.expect("Hit", "2");
}
