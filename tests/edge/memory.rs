//! What viewers hold in memory has a bound, whatever they do, and others do not suffer for it.

use proxima_edge_core::edge_config::EdgeConfig;
use proxima_edge_core::limits;
use proxima_tests::h2raw::{DATA, END_STREAM, INITIAL_WINDOW_SIZE, RST_STREAM, RawH2, WINDOW_UPDATE, frame, get};
use proxima_tests::viewer::Viewer;
use proxima_tests::{Edge, Origin, Reply, config};

const MIB: u64 = 1 << 20;
/// Of the cache in these tests.
const MEMORY: u64 = 64 * MIB;
/// What the process, its buffers and the allocator take besides, when it is not optimised.
const BESIDE: u64 = 64 * MIB;

/// An origin whose paths begin with the length of their bodies: `/1024/name`.
async fn sized() -> Origin {
    Origin::answering(|head| {
        let length = head.target().split('/').nth(1).and_then(|size| size.parse().ok()).unwrap_or(0);
        Reply::fresh(vec![b'x'; length])
    })
    .await
}

fn with_memory(origin: &Origin) -> EdgeConfig {
    let mut edge_config = config::site(origin.address);
    edge_config.cache.memory = MEMORY;
    edge_config
}

/// A viewer that has asked, and reads no further than the head.
async fn asks(edge: &Edge, path: &str) -> Viewer {
    let mut viewer = edge.viewer().await;
    viewer.send_get(path, "").await;
    assert_eq!(viewer.head().await.status(), 200);
    viewer
}

/// Panics unless the edge is within what its operator sets as its limit.
#[track_caller]
fn demand_bounded(edge: &Edge) {
    let resident = edge.process.resident();
    let bodies = MEMORY + limits::held_bytes(MEMORY);
    assert!(resident <= bodies + bodies * 15 / 100 + BESIDE, "resident memory is {resident} bytes");
}

#[tokio::test]
async fn viewers_who_do_not_read_do_not_keep_others_from_the_cache() {
    let origin = sized().await;
    let edge = Edge::serve(&with_memory(&origin)).await;
    let mut lazy = Vec::new();
    for number in 0..6 {
        lazy.push(asks(&edge, &format!("/{}/{number}", 15 * MIB)).await);
    }
    edge.metric_reaches("proxima_edge_fills", |fills| fills == 0.0).await;
    edge.metric_reaches("proxima_edge_fill_bytes", |bytes| bytes == 0.0).await;
    for x_cache in ["Miss from proxima", "Hit from proxima"] {
        let answer = edge.get(&format!("/{}/wanted", 2 * MIB)).await;
        assert_eq!(answer.x_cache(), x_cache, "{}", answer.head.raw);
    }
    demand_bounded(&edge);
}

#[tokio::test]
async fn what_viewers_hold_who_do_not_read_hits_has_a_bound() {
    let origin = sized().await;
    let edge = Edge::serve(&with_memory(&origin)).await;
    let mut lazy = Vec::new();
    for number in 0..20 {
        let path = format!("/{}/{number}", 15 * MIB);
        let answer = edge.get(&path).await;
        assert_eq!((answer.x_cache(), answer.body.bytes.len() as u64), ("Miss from proxima", 15 * MIB));
        edge.metric_reaches("proxima_edge_fills", |fills| fills == 0.0).await;
        lazy.push(asks(&edge, &path).await);
        demand_bounded(&edge);
    }
    let held = limits::held_bytes(MEMORY) as f64;
    edge.metric_reaches("proxima_edge_pinned_bytes", |pinned| pinned <= held).await;
    edge.metric_reaches("proxima_edge_slowest_cut_total", |cut| cut > 0.0).await;
    edge.log_line("it is named", |line| line["reason"] == "ViewerTooSlow" && line["aborted"] == true).await;
    // Whoever reads is not cut off.
    let answer = edge.get(&format!("/{}/19", 15 * MIB)).await;
    assert_eq!((answer.body.bytes.len() as u64, answer.body.complete), (15 * MIB, true));
}

#[tokio::test]
async fn what_streams_hold_whose_windows_are_all_but_shut_has_a_bound() {
    let origin = sized().await;
    let edge = Edge::serve(&with_memory(&origin)).await;
    let before = edge.process.resident();
    let mut viewers = Vec::new();
    for number in 0..5 {
        let mut viewer = RawH2::connect(edge.http, &[(INITIAL_WINDOW_SIZE, 1)]).await;
        let mut last = 0;
        for each in 0..90 {
            last = viewer.request(&get(format!("/{MIB}/{number}/{each}").as_bytes())).await;
        }
        viewer.fate(last).await;
        viewers.push(viewer);
    }
    edge.metric_reaches("proxima_edge_fills", |fills| fills == 0.0).await;
    let held = limits::held_bytes(MEMORY) as f64;
    edge.metric_reaches("proxima_edge_pinned_bytes", |pinned| pinned <= held).await;
    // On top of what `demand_bounded` knows come the buffers of 450 connections to the origin, and what they brought before
    // those who were cut off had gone. Without a bound it would be some 600 MiB.
    let after = edge.process.resident();
    assert!(after < before + 300 * MIB, "memory went from {before} to {after} bytes");
    assert_eq!(edge.get("/10/other").await.status(), 200);
}

/// One with and one without a body that is followed to its last byte.
#[tokio::test]
async fn bodies_of_http_2_end_when_all_of_them_is_written() {
    let origin = sized().await;
    let edge = Edge::serve(&with_memory(&origin)).await;
    for length in [limits::LARGE_BODY_BYTES, limits::LARGE_BODY_BYTES + 1, 3 * MIB] {
        for _ in 0..2 {
            let mut viewer = RawH2::connect(edge.http, &[]).await;
            let stream = viewer.request(&get(format!("/{length}/page").as_bytes())).await;
            let mut taken = 0;
            loop {
                let next = viewer.until("data", |frame| frame.kind == DATA || frame.kind == RST_STREAM).await.unwrap();
                assert_eq!(next.kind, DATA, "after {taken} of {length} bytes");
                taken += next.payload.len() as u64;
                if next.flags & END_STREAM != 0 {
                    break;
                }
                if let more @ 1.. = u32::try_from(next.payload.len()).unwrap() {
                    viewer.write(&frame(WINDOW_UPDATE, 0, 0, &more.to_be_bytes())).await;
                    viewer.write(&frame(WINDOW_UPDATE, 0, stream, &more.to_be_bytes())).await;
                }
            }
            assert_eq!(taken, length);
        }
    }
    edge.metric_reaches("proxima_edge_pinned_bytes", |pinned| pinned == 0.0).await;
}

#[tokio::test]
async fn a_few_bytes_do_not_hold_the_slices_that_they_are_in() {
    let origin = sized().await;
    let edge = Edge::serve(&with_memory(&origin)).await;
    let film = format!("/{}/film", 15 * MIB);
    edge.get(&film).await;
    edge.metric_reaches("proxima_edge_fills", |fills| fills == 0.0).await;
    let mut viewer = RawH2::connect(edge.http, &[(INITIAL_WINDOW_SIZE, 0)]).await;
    let ranges = (0..15).map(|slice| format!("{0}-{0}", slice * MIB)).collect::<Vec<_>>().join(",");
    let ranges = format!("bytes={ranges}");
    let fields = [&get(film.as_bytes())[..], &[(b"range", ranges.as_bytes())]].concat();
    let stream = viewer.request(&fields).await;
    viewer.fate(stream).await;
    // Everything that was there is evicted.
    for number in 0..60 {
        edge.get(&format!("/{}/{number}", 2 * MIB)).await;
    }
    edge.metric_reaches("proxima_edge_pinned_bytes", |pinned| pinned < MIB as f64).await;
}
