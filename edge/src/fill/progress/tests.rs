use super::*;
use futures::FutureExt;
use http::{HeaderMap, StatusCode};
use proxima_edge_core::cache_control::CacheControl;
use proxima_edge_core::outcome::Reason;
use proxima_edge_core::timestamp::Timestamp;
use std::task::Waker as StdWaker;
use std::time::Duration;

fn progress() -> (Arc<Progress>, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::new());
    (Arc::new(Progress::new(&metrics, Begun { generation: 0, turn: 0 }, false)), metrics)
}

fn shared_head() -> Head {
    let now = Timestamp::from_millis(0);
    let headers = HeaderMap::new();
    let stored = StoredResponse {
        status: StatusCode::OK,
        headers: headers.clone(),
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
        body_length: 0,
    };
    let response =
        OriginResponse { status: StatusCode::OK, headers, body_length: None, requested_at: now, received_at: now };
    let key = CacheKey::from_bytes(b"key");
    Head::Streaming(Arc::new(FillHead { key, names: Arc::from([]), response, stored }))
}

/// What a reader gets right now: bytes, "end", "pending", or the error.
fn poll(reader: &mut FillReader) -> String {
    let mut cx = Context::from_waker(StdWaker::noop());
    match reader.poll_data(&mut cx) {
        Poll::Pending => "pending".to_owned(),
        Poll::Ready(None) => "end".to_owned(),
        Poll::Ready(Some(Ok(bytes))) => String::from_utf8(bytes.to_vec()).unwrap(),
        Poll::Ready(Some(Err(error))) => format!("error: {error}"),
    }
}

fn mib(count: u64) -> Bytes {
    Bytes::from(vec![b'x'; usize::try_from(count << 20).unwrap()])
}

#[test]
fn every_reader_gets_all_bytes_at_its_own_pace() {
    let (progress, _) = progress();
    let mut early = Progress::reader(&progress).unwrap();
    progress.settle(shared_head());
    assert_eq!(poll(&mut early), "pending");
    progress.push(Bytes::from_static(b"one"));
    assert_eq!(poll(&mut early), "one");
    progress.push(Bytes::from_static(b"two"));
    let mut late = Progress::reader(&progress).unwrap();
    assert_eq!([poll(&mut late), poll(&mut late), poll(&mut late)], ["one", "two", "pending"]);
    progress.finish(Ok(()));
    assert_eq!([poll(&mut early), poll(&mut early)], ["two", "end"]);
    assert_eq!(poll(&mut late), "end");
}

/// What a reader gets right now before an offset.
fn poll_until(reader: &mut FillReader, end: u64) -> Option<String> {
    match reader.poll_data_until(&mut Context::from_waker(StdWaker::noop()), end) {
        Poll::Ready(Some(Ok(bytes))) => Some(String::from_utf8(bytes.to_vec()).unwrap()),
        _ => None,
    }
}

#[test]
fn a_reader_of_ranges_gets_their_bytes_and_no_others() {
    let (progress, _) = progress();
    let mut reader = Progress::reader(&progress).unwrap();
    progress.push(Bytes::from_static(b"0123"));
    progress.push(Bytes::from_static(b"4567"));
    assert_eq!(reader.received(), 8);
    reader.skip_to(1);
    assert_eq!(poll_until(&mut reader, 2).as_deref(), Some("1"));
    reader.skip_to(3);
    assert_eq!(poll_until(&mut reader, 6).as_deref(), Some("3"));
    assert_eq!(poll_until(&mut reader, 6).as_deref(), Some("45"));
    // Ahead of what has arrived.
    reader.skip_to(9);
    assert_eq!(poll_until(&mut reader, 11), None);
    progress.push(Bytes::from_static(b"89ab"));
    assert_eq!(poll_until(&mut reader, 11).as_deref(), Some("9a"));
    reader.skip_to(2);
    assert_eq!(poll(&mut reader), "b", "there is no way back");
}

#[test]
fn a_reader_far_ahead_does_not_hold_a_window_up() {
    let (progress, metrics) = progress();
    let mut reader = Progress::reader(&progress).unwrap();
    progress.keep_window();
    reader.skip_to(100 << 20);
    for _ in 0..10 {
        progress.push(mib(1));
        assert!(progress.room().now_or_never().is_some());
    }
    assert_eq!(metrics.fill_bytes.get(), 0, "nobody wants these bytes");
    progress.finish(Ok(()));
    assert_eq!(poll(&mut reader), "end");
}

#[test]
fn a_reader_in_the_middle_survives_consolidation() {
    let (progress, _) = progress();
    let mut reader = Progress::reader(&progress).unwrap();
    progress.push(Bytes::from_static(b"ab"));
    progress.push(Bytes::from_static(b"cd"));
    assert_eq!(poll(&mut reader), "ab");
    progress.consolidate(0, Bytes::from_static(b"abcd"));
    assert_eq!(poll(&mut reader), "cd");
    let mut late = Progress::reader(&progress).unwrap();
    assert_eq!(poll(&mut late), "abcd");
}

#[test]
fn a_broken_body_is_an_error_after_its_last_byte_and_takes_no_new_readers() {
    let (progress, _) = progress();
    let mut reader = Progress::reader(&progress).unwrap();
    progress.settle(shared_head());
    progress.push(Bytes::from_static(b"part"));
    progress.finish(Err(ReadError::Broken("reset".to_owned())));
    assert_eq!([poll(&mut reader), poll(&mut reader)], ["part", "error: reset"]);
    assert!(Progress::reader(&progress).is_none());
}

#[test]
fn abandonment_tells_those_who_wait_for_the_head_and_breaks_the_body() {
    let (before_head, _) = progress();
    let reader = Progress::reader(&before_head).unwrap();
    assert!(reader.head().now_or_never().is_none());
    before_head.abandon();
    assert!(matches!(reader.head().now_or_never(), Some(Head::Abandoned)));

    let (streaming, _) = progress();
    let mut reader = Progress::reader(&streaming).unwrap();
    streaming.settle(shared_head());
    streaming.abandon();
    assert_eq!(poll(&mut reader), "error: the fetch was abandoned");
}

#[test]
fn abandonment_after_the_end_changes_nothing() {
    let (complete, _) = progress();
    let mut reader = Progress::reader(&complete).unwrap();
    complete.settle(shared_head());
    complete.finish(Ok(()));
    complete.abandon();
    assert_eq!(poll(&mut reader), "end");

    let (failed, _) = progress();
    let reader = Progress::reader(&failed).unwrap();
    failed.settle(Head::Failed(OriginError::new(Reason::OriginConnectError, "refused")));
    failed.abandon();
    assert!(matches!(reader.head().now_or_never(), Some(Head::Failed(_))));
}

#[tokio::test]
async fn settling_the_head_wakes_everybody_who_waits() {
    let (progress, _) = progress();
    let readers: Vec<_> = (0..100).map(|_| Progress::reader(&progress).unwrap()).collect();
    let waiting = futures::future::join_all(readers.iter().map(FillReader::head));
    let settle = async {
        tokio::task::yield_now().await;
        progress.settle(Head::NotStorable);
    };
    let (heads, ()) = tokio::join!(waiting, settle);
    assert!(heads.iter().all(|head| matches!(head, Head::NotStorable)));
}

#[tokio::test(start_paused = true)]
async fn a_window_holds_the_writer_back_until_the_slowest_reader_advances() {
    let (progress, metrics) = progress();
    let mut slow = Progress::reader(&progress).unwrap();
    let mut quick = Progress::reader(&progress).unwrap();
    progress.keep_window();
    for _ in 0..4 {
        progress.push(mib(1));
        poll(&mut quick);
    }
    assert!(progress.room().now_or_never().is_none(), "the slow reader lags by the whole window");
    assert_eq!(metrics.fill_bytes.get(), 4 << 20);
    poll(&mut slow);
    assert!(progress.room().now_or_never().is_some());
    progress.push(mib(1));
    assert_eq!(metrics.fill_bytes.get(), 4 << 20, "what all have read is forgotten");
    assert!(Progress::reader(&progress).is_none(), "the start is gone");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_lags_too_long_is_cut_off_and_the_others_go_on() {
    let (progress, _) = progress();
    let mut stalled = Progress::reader(&progress).unwrap();
    let mut quick = Progress::reader(&progress).unwrap();
    progress.keep_window();
    progress.push(mib(4));
    poll(&mut quick);
    progress.room().await;
    assert!(poll(&mut stalled).starts_with("error: the viewer read too slowly"));
    assert_eq!(progress.readers(), 1);
    assert_eq!(poll(&mut quick), "pending");
}

#[tokio::test(start_paused = true)]
async fn a_steady_reader_is_waited_for_however_far_behind() {
    let (progress, _) = progress();
    let mut slow = Progress::reader(&progress).unwrap();
    for _ in 0..20 {
        progress.push(mib(1));
    }
    progress.keep_window();
    let reading = async {
        // A window in a little less than the time allowed for one: it never stands still for as long.
        for _ in 0..17 {
            tokio::time::sleep(Duration::from_secs(7)).await;
            assert_eq!(poll(&mut slow).len(), 1 << 20);
        }
    };
    tokio::join!(progress.room(), reading);
    assert_eq!(progress.readers(), 1);
}

#[test]
fn what_is_pinned_is_counted_and_released() {
    let (progress, metrics) = progress();
    let reader = Progress::reader(&progress).unwrap();
    progress.push(mib(3));
    assert_eq!(metrics.fill_bytes.get(), 3 << 20);
    drop(progress);
    assert_eq!(metrics.fill_bytes.get(), 3 << 20, "a reader holds it");
    drop(reader);
    assert_eq!(metrics.fill_bytes.get(), 0);
}

#[test]
fn what_is_complete_is_no_longer_a_fill_in_progress_whoever_still_reads_it() {
    let (progress, metrics) = progress();
    let mut readers = [(); 2].map(|()| Progress::reader(&progress).unwrap());
    progress.settle(shared_head());
    for _ in 0..3 {
        progress.push(mib(1));
    }
    progress.finish(Ok(()));
    assert_eq!((metrics.fill_bytes.get(), metrics.pinned_bytes.get()), (0, 3 << 20));
    progress.abandon();
    assert!(Progress::reader(&progress).is_none(), "who comes now is not here for long");
    for reader in &mut readers {
        assert_eq!(metrics.pinned_bytes.get(), 3 << 20);
        assert_eq!(poll(reader).len(), 1 << 20);
    }
    assert_eq!(metrics.pinned_bytes.get(), 2 << 20, "what both have read is let go");
    let [mut first, second] = readers;
    assert_eq!(poll(&mut first).len(), 1 << 20);
    drop(second);
    assert_eq!(metrics.pinned_bytes.get(), 1 << 20);
    drop(first);
    assert_eq!(metrics.pinned_bytes.get(), 0);
}

#[test]
fn what_is_in_an_allocation_of_the_store_is_not_counted_twice() {
    let (progress, metrics) = progress();
    let mut reader = Progress::reader(&progress).unwrap();
    progress.push(mib(1));
    progress.consolidate(0, mib(1));
    progress.push(Bytes::from_static(b"tail"));
    assert_eq!((metrics.fill_bytes.get(), metrics.pinned_bytes.get()), ((1 << 20) + 4, 4));
    progress.keep_window();
    assert_eq!(poll(&mut reader).len(), 1 << 20);
    assert_eq!(poll(&mut reader), "tail");
    progress.push(Bytes::from_static(b"more"));
    assert_eq!((metrics.fill_bytes.get(), metrics.pinned_bytes.get()), (4, 4));
}
