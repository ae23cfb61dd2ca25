//! HTTP/2 streams as tasks of the connection's own thread: a panic ends its stream, and so does a viewer that takes
//! nothing of it.
//!
//! The socket's wrapper cannot see such a stall: a viewer may keep the connection busy and the window of one stream
//! shut, and what that stream was about to send would stay pinned for as long. But hyper asks the body for more only
//! when there is room for it. So a stream is stalled when its body has given something, at most
//! [`limits::HTTP2_PIECE_BYTES`], and is not asked again. One stalled stream says nothing about the others of its
//! connection (a paused film), so only that one is reset.

use std::cell::Cell;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt;
use proxima_edge_core::limits;
use tokio::time::Instant;

use super::timeouts::Timer;
use crate::held::Sending;
use crate::metrics::Metrics;

thread_local! {
    /// What the body of the task that is running said last. hyper's tasks are opaque, but their bodies are ours.
    static TURN: Cell<Option<Turn>> = const { Cell::new(None) };
    /// The response that the task that is running has begun to send, where it is followed.
    static SENDING: Cell<Option<Arc<Sending>>> = const { Cell::new(None) };
}

/// What a body did when it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It gave something; the viewer has to make room before it is asked again.
    Gave,
    /// It has nothing to give, which is not the viewer's fault.
    Waits,
}

/// Called by bodies whenever they are asked.
pub(super) fn note(turn: Turn) {
    TURN.set(Some(turn));
}

/// Called where a response begins that is followed.
pub(super) fn sends(sending: Arc<Sending>) {
    SENDING.set(Some(sending));
}

/// Runs the streams of HTTP/2 connections.
#[derive(Clone)]
pub(super) struct LocalExecutor {
    metrics: Arc<Metrics>,
}

impl LocalExecutor {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics }
    }
}

impl<F> hyper::rt::Executor<F> for LocalExecutor
where
    F: Future<Output = ()> + 'static,
{
    fn execute(&self, future: F) {
        let metrics = Arc::clone(&self.metrics);
        tokio::task::spawn_local(async move {
            let stream = Stream { future: Box::pin(future), gave_at: None, sending: None, timer: Timer::default() };
            match AssertUnwindSafe(stream).catch_unwind().await {
                // Who cut it off has counted it.
                Ok(Ended::Done | Ended::Cut) => {}
                Ok(Ended::Stalled) => {
                    metrics.stalled_streams.inc();
                }
                Err(_) => {
                    metrics.panics.inc();
                    tracing::error!("a panic ended a viewer's stream");
                }
            }
        });
    }
}

/// How a stream ended. Dropping its future resets it.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Done,
    Stalled,
    /// Viewers held too much memory, and this one was the slowest.
    Cut,
}

struct Stream<F> {
    future: Pin<Box<F>>,
    gave_at: Option<Instant>,
    sending: Option<Arc<Sending>>,
    timer: Timer,
}

impl<F: Future<Output = ()>> Future for Stream<F> {
    type Output = Ended;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Ended> {
        let stream = self.get_mut();
        TURN.set(None);
        SENDING.take();
        if let Some(sending) = &stream.sending {
            sending.wakes(context.waker());
            if sending.is_cut() {
                return Poll::Ready(Ended::Cut);
            }
        }
        if stream.future.as_mut().poll(context).is_ready() {
            return Poll::Ready(Ended::Done);
        }
        if let Some(sending) = SENDING.take() {
            stream.sending = Some(sending);
            // Something may have happened before anybody could be told.
            context.waker().wake_by_ref();
        }
        match TURN.take() {
            Some(Turn::Gave) => stream.gave_at = Some(Instant::now()),
            Some(Turn::Waits) => stream.gave_at = None,
            None => {}
        }
        match stream.gave_at {
            Some(since) if stream.timer.is_over(context, since + limits::WRITE_STALL) => Poll::Ready(Ended::Stalled),
            _ => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::rc::Rc;
    use std::time::Duration;

    use bytes::Bytes;
    use hyper_util::rt::TokioIo;

    use super::super::phase::Phase;
    use super::super::reply::ServerBody;
    use super::*;
    use crate::body::ReplyBody;

    fn stream(turns: &'static [Turn], pause: Duration) -> Stream<impl Future<Output = ()>> {
        let future = async move {
            for turn in turns {
                note(*turn);
                tokio::time::sleep(pause).await;
            }
            poll_fn(|_| Poll::<()>::Pending).await;
        };
        Stream { future: Box::pin(future), gave_at: None, sending: None, timer: Timer::default() }
    }

    /// Serves one body of 3 MiB over HTTP/2 to a viewer whose window is 8 KiB and who takes one frame each `pause`. How
    /// many bytes it got, and for how long, before the stream was reset or 90 frames had come.
    async fn taken_slowly(pause: Duration) -> (usize, Duration) {
        let (viewer, socket) = tokio::io::duplex(1 << 20);
        let phase = Rc::new(Phase::default());
        phase.multiplexed();
        let service = hyper::service::service_fn(move |_| {
            let body = ReplyBody::whole(Bytes::from(vec![b'x'; 3 << 20]));
            let body = ServerBody::new(body, phase.request_begins(false));
            std::future::ready(Ok::<_, std::convert::Infallible>(http::Response::new(body)))
        });
        let executor = LocalExecutor::new(Arc::new(Metrics::new()));
        let server = hyper::server::conn::http2::Builder::new(executor).serve_connection(TokioIo::new(socket), service);
        tokio::task::spawn_local(server);
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(8 << 10);
        let (mut requests, connection) = builder.handshake::<_, Bytes>(viewer).await.unwrap();
        tokio::task::spawn_local(connection);
        let request = http::Request::get("http://site.test/film").body(()).unwrap();
        let (response, _) = requests.send_request(request, true).unwrap();
        let mut body = response.await.unwrap().into_body();
        let (mut taken, begun) = (0, Instant::now());
        for _ in 0..90 {
            let Some(Ok(data)) = body.data().await else { break };
            taken += data.len();
            tokio::time::sleep(pause).await;
            let _ = body.flow_control().release_capacity(data.len());
        }
        (taken, begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn stream_that_is_taken_slowly_but_steadily_is_not_reset() {
        let local = tokio::task::LocalSet::new();
        let (taken, time) = local.run_until(taken_slowly(Duration::from_secs(1))).await;
        assert!(taken > 80 * (8 << 10) && time >= Duration::from_secs(90), "{taken} bytes in {time:?}");
    }

    async fn stalls_after(turns: &'static [Turn], pause: Duration) -> Option<Duration> {
        let begun = Instant::now();
        let ended = tokio::time::timeout(limits::WRITE_STALL * 10, stream(turns, pause)).await.ok()?;
        assert_eq!(ended, Ended::Stalled);
        Some(Duration::from_secs(begun.elapsed().as_secs()))
    }

    #[tokio::test(start_paused = true)]
    async fn stream_whose_body_is_not_asked_again_is_stalled() {
        let pause = limits::WRITE_STALL / 2;
        assert_eq!(stalls_after(&[Turn::Gave], pause).await, Some(limits::WRITE_STALL));
        assert_eq!(stalls_after(&[Turn::Gave, Turn::Gave], pause).await, Some(pause + limits::WRITE_STALL));
    }

    #[tokio::test(start_paused = true)]
    async fn stream_whose_body_waits_for_the_origin_is_not() {
        assert_eq!(stalls_after(&[], Duration::ZERO).await, None);
        assert_eq!(stalls_after(&[Turn::Gave, Turn::Waits], limits::WRITE_STALL / 2).await, None);
    }
}
