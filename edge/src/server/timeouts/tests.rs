use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use proxima_edge_core::framing::Position;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::super::drain::Connections;
use super::*;

fn pair() -> (DuplexStream, Guarded<DuplexStream>, Rc<Phase>) {
    let (viewer, socket) = duplex(64 << 10);
    let phase = Rc::new(Phase::default());
    (viewer, Guarded::new(socket, Rc::clone(&phase)), phase)
}

async fn read_error(guarded: &mut Guarded<DuplexStream>) -> (io::ErrorKind, Duration) {
    let begun = Instant::now();
    let error = loop {
        match guarded.read(&mut [0; 64]).await {
            Ok(0) => panic!("the viewer is still there"),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    (error.kind(), begun.elapsed())
}

/// The paused clock jumps from timer to timer, so what passed is exact up to the timer's millisecond.
fn about(passed: Duration, expected: Duration) -> bool {
    passed >= expected && passed < expected + Duration::from_millis(5)
}

#[tokio::test(start_paused = true)]
async fn idle_connection_ends_after_the_idle_timeout() {
    let (_viewer, mut guarded, phase) = pair();
    let (kind, passed) = read_error(&mut guarded).await;
    assert_eq!((kind, phase.ended()), (io::ErrorKind::TimedOut, Some(Closed::IdleTimeout)));
    assert!(about(passed, limits::IDLE_TIMEOUT), "{passed:?}");
}

#[tokio::test(start_paused = true)]
async fn head_that_trickles_ends_ten_seconds_after_its_first_byte() {
    let (mut viewer, mut guarded, phase) = pair();
    let trickle = async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        loop {
            viewer.write_all(b"G").await.unwrap();
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
    };
    let (kind, passed) = tokio::select! {
        ended = read_error(&mut guarded) => ended,
        () = trickle => unreachable!("it never ends"),
    };
    assert_eq!((kind, phase.ended()), (io::ErrorKind::TimedOut, Some(Closed::HeadTimeout)));
    assert!(about(passed, Duration::from_secs(30) + limits::HEAD_TIMEOUT), "{passed:?}");
}

#[tokio::test(start_paused = true)]
async fn request_in_flight_has_no_read_deadline_and_the_idle_time_begins_after_it() {
    let (mut viewer, mut guarded, phase) = pair();
    viewer.write_all(b"GET").await.unwrap();
    guarded.read_exact(&mut [0; 3]).await.unwrap();
    let in_flight = phase.request_begins(false);
    phase.followed(Position::Between, 1);
    let waited = tokio::time::timeout(limits::IDLE_TIMEOUT * 10, guarded.read(&mut [0; 1])).await;
    assert!(waited.is_err(), "the origin may take its time");
    drop(in_flight);
    let (_, passed) = read_error(&mut guarded).await;
    assert_eq!(phase.ended(), Some(Closed::IdleTimeout));
    assert!(about(passed, limits::IDLE_TIMEOUT), "{passed:?}");
}

#[tokio::test(start_paused = true)]
async fn head_that_began_behind_a_request_has_ten_seconds_once_that_is_answered() {
    let (mut viewer, mut guarded, phase) = pair();
    viewer.write_all(b"whole and GE").await.unwrap();
    guarded.read_exact(&mut [0; 12]).await.unwrap();
    phase.followed(Position::Head, 2);
    let in_flight = phase.request_begins(false);
    tokio::time::sleep(limits::IDLE_TIMEOUT).await;
    drop(in_flight);
    let (_, passed) = read_error(&mut guarded).await;
    assert_eq!(phase.ended(), Some(Closed::HeadTimeout));
    assert!(about(passed, limits::HEAD_TIMEOUT), "{passed:?}");
}

#[tokio::test(start_paused = true)]
async fn bytes_on_a_multiplexed_connection_do_not_prolong_its_idle_time() {
    let (mut viewer, mut guarded, phase) = pair();
    phase.multiplexed();
    let pings = async {
        loop {
            tokio::time::sleep(Duration::from_secs(7)).await;
            viewer.write_all(b"ping").await.unwrap();
        }
    };
    let (_, passed) = tokio::select! {
        ended = read_error(&mut guarded) => ended,
        () = pings => unreachable!("they never end"),
    };
    assert_eq!(phase.ended(), Some(Closed::IdleTimeout));
    assert!(about(passed, limits::IDLE_TIMEOUT), "{passed:?}");
}

/// How long a write goes on of which the viewer reads so many bytes, so often, so many times.
async fn write_lasts(bytes: usize, pause: Duration, times: usize) -> Duration {
    let (mut viewer, socket) = duplex(8_000);
    let phase = Rc::new(Phase::default());
    let mut guarded = Guarded::new(socket, Rc::clone(&phase));
    let _in_flight = phase.request_begins(false);
    let begun = Instant::now();
    let reads = async {
        for _ in 0..times {
            tokio::time::sleep(pause).await;
            viewer.read_exact(&mut vec![0; bytes]).await.unwrap();
        }
        std::future::pending::<()>().await;
    };
    let error = tokio::select! {
        result = guarded.write_all(&[b'x'; 1 << 20]) => result.unwrap_err(),
        () = reads => unreachable!("it never ends"),
    };
    assert_eq!((error.kind(), phase.ended()), (io::ErrorKind::TimedOut, Some(Closed::WriteStall)));
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn write_that_no_byte_leaves_ends_after_the_stall_time() {
    let passed = write_lasts(5_000, Duration::from_secs(40), 1).await;
    assert!(about(passed, Duration::from_secs(40) + limits::WRITE_STALL), "progress starts the time anew: {passed:?}");
}

#[tokio::test(start_paused = true)]
async fn write_that_next_to_nothing_leaves_ends_too() {
    let passed = write_lasts(10, Duration::from_secs(10), 100).await;
    assert!(about(passed, limits::WRITE_STALL), "{passed:?}");
    let passed = write_lasts(1_000, Duration::from_secs(10), 20).await;
    assert!(passed > Duration::from_secs(200), "a steady viewer, however slow, is waited for: {passed:?}");
}

#[tokio::test(start_paused = true)]
async fn viewer_who_takes_the_rest_of_a_response_is_not_idle() {
    let (mut viewer, socket) = duplex(8_000);
    let phase = Rc::new(Phase::default());
    let guarded = Guarded::new(socket, Rc::clone(&phase));
    let (mut reading, mut writing) = tokio::io::split(guarded);
    // The body has been given to the library, which has not written all of it.
    drop(phase.request_begins(false));
    let reads = async {
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_secs(10)).await;
            viewer.read_exact(&mut [0; 2_000]).await.unwrap();
        }
    };
    tokio::select! {
        result = writing.write_all(&[b'x'; 1 << 20]) => unreachable!("{result:?}"),
        result = async { reading.read(&mut [0; 1]).await } => unreachable!("{result:?}"),
        () = reads => {}
    }
    assert_eq!(phase.ended(), None);
}

#[tokio::test(start_paused = true)]
async fn body_gap_counts_from_the_last_movement() {
    let mut gap = BodyGap::default();
    let begun = Instant::now();
    let wait = async |gap: &mut BodyGap| {
        poll_fn(|context| if gap.is_over(context) { Poll::Ready(()) } else { Poll::Pending }).await;
    };
    let early = tokio::time::timeout(limits::BODY_GAP - Duration::from_secs(1), wait(&mut gap)).await;
    assert!(early.is_err());
    gap.moved();
    wait(&mut gap).await;
    let expected = limits::BODY_GAP * 2 - Duration::from_secs(1);
    assert!(about(begun.elapsed(), expected), "{:?}", begun.elapsed());
}

/// A socket that records each system call.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<(&'static str, usize)>>>);

impl AsyncRead for Recorder {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Recorder {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.lock().unwrap().push(("send", bytes.len()));
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let total = pieces.iter().map(|piece| piece.len()).sum();
        self.0.lock().unwrap().push(("writev", total));
        Poll::Ready(Ok(total))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn small_pieces_leave_in_one_send_and_large_ones_uncopied() {
    let recorder = Recorder::default();
    let mut guarded = Guarded::new(recorder.clone(), Rc::new(Phase::default()));
    for body in [1_024, GATHER_BYTES - 100, GATHER_BYTES - 99] {
        let (head, body) = (vec![b'h'; 100], vec![b'b'; body]);
        let pieces = [IoSlice::new(&head), IoSlice::new(&body)];
        let written = guarded.write_vectored(&pieces).await.unwrap();
        assert_eq!(written, head.len() + body.len());
    }
    let calls = recorder.0.lock().unwrap().clone();
    assert_eq!(calls, [("send", 1_124), ("send", GATHER_BYTES), ("writev", GATHER_BYTES + 1)]);
}

#[tokio::test]
async fn gathered_pieces_arrive_in_order() {
    let (mut viewer, mut guarded, _) = pair();
    let pieces = [IoSlice::new(b"one "), IoSlice::new(b""), IoSlice::new(b"two")];
    assert_eq!(guarded.write_vectored(&pieces).await.unwrap(), 7);
    let mut received = [0; 7];
    viewer.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"one two");
}

async fn detected(chunks: &[&[u8]], close: bool) -> (Option<Protocol>, Vec<u8>) {
    let (mut viewer, mut guarded, _) = pair();
    let registration = Rc::new(Connections::new()).register();
    let viewer_side = async {
        for chunk in chunks {
            viewer.write_all(chunk).await.unwrap();
            tokio::task::yield_now().await;
        }
        if close {
            viewer.shutdown().await.unwrap();
        }
    };
    let (protocol, ()) = tokio::join!(guarded.detect(&registration), viewer_side);
    let mut again = vec![0; 1_024];
    let length = if close {
        guarded.read(&mut again).now_or_never().map_or(0, Result::unwrap)
    } else {
        guarded.read(&mut again).await.unwrap()
    };
    again.truncate(length);
    (protocol.unwrap(), again)
}

#[tokio::test]
async fn protocol_is_told_by_the_first_bytes_and_hyper_gets_them_again() {
    let http1 = Some(Protocol::Http1);
    assert_eq!(detected(&[b"GET / HTTP/1.1\r\n"], false).await, (http1, b"GET / HTTP/1.1\r\n".to_vec()));
    assert_eq!(detected(&[b"PRI", b"VATE / HTTP/1.1"], false).await, (http1, b"PRIVATE / HTTP/1.1".to_vec()));
    let (protocol, bytes) = detected(&[&PREFACE[..5], &PREFACE[5..], b"frames"], false).await;
    assert_eq!(protocol, Some(Protocol::Http2));
    assert!(bytes.starts_with(PREFACE));
    assert_eq!(detected(&[], true).await, (None, Vec::new()));
    assert_eq!(detected(&[b"PRI *"], true).await, (http1, b"PRI *".to_vec()));
}

#[tokio::test]
async fn connection_without_a_byte_ends_when_the_worker_drains() {
    let (_viewer, mut guarded, _) = pair();
    let connections = Rc::new(Connections::new());
    let registration = connections.register();
    let drain = connections.drain();
    let detect = async {
        assert_eq!(guarded.detect(&registration).await.unwrap(), None);
        drop(registration);
    };
    tokio::join!(detect, drain);
}

#[tokio::test(start_paused = true)]
async fn close_before_the_end_of_a_body_reads_on_for_a_while() {
    let (mut viewer, mut guarded, phase) = pair();
    drop(phase.request_begins(true));
    let begun = Instant::now();
    let sends = async {
        viewer.write_all(b"rest of the body").await.unwrap();
        assert_eq!(viewer.read(&mut [0; 1]).await.unwrap(), 0, "our side is closed at once");
        assert!(begun.elapsed() < Duration::from_millis(5));
        viewer.write_all(b"still more").await.unwrap();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        closed = guarded.shutdown() => closed.unwrap(),
        () = sends => unreachable!("the viewer keeps its side open"),
    }
    assert!(about(begun.elapsed(), limits::DRAIN_TIME), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn close_before_the_end_of_a_body_reads_only_so_many_bytes() {
    let (mut viewer, mut guarded, phase) = pair();
    drop(phase.request_begins(true));
    let begun = Instant::now();
    let sends = async {
        let chunk = [b'x'; 1_024];
        while viewer.write_all(&chunk).await.is_ok() {}
        std::future::pending::<()>().await;
    };
    tokio::select! {
        closed = guarded.shutdown() => closed.unwrap(),
        () = sends => unreachable!("it never ends"),
    }
    assert!(begun.elapsed() < limits::DRAIN_TIME, "the bytes decide, not the time");
}

#[tokio::test]
async fn close_of_an_idle_connection_is_immediate() {
    let (_viewer, mut guarded, phase) = pair();
    drop(phase.request_begins(false));
    assert!(guarded.shutdown().now_or_never().is_some());
}
