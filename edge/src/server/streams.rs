//! HTTP/2 streams as tasks of the connection's own thread: a panic ends its stream, and so does a viewer that takes
//! nothing of it.
//!
//! The socket's wrapper cannot see such a stall: a viewer may keep the connection busy and the window of one stream
//! shut, and what that stream was about to send would stay pinned for as long. But hyper asks the body for more only
//! when there is room for it. So a stream is stalled when its body has given something and is not asked again. One
//! stalled stream says nothing about the others of its connection (a paused film), so only that one is reset.

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
use crate::metrics::Metrics;

thread_local! {
    /// What the body of the task that is running said last. hyper's tasks are opaque, but their bodies are ours.
    static TURN: Cell<Option<Turn>> = const { Cell::new(None) };
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
            let stream = Stream { future: Box::pin(future), gave_at: None, timer: Timer::default() };
            match AssertUnwindSafe(stream).catch_unwind().await {
                Ok(Ended::Done) => {}
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
}

struct Stream<F> {
    future: Pin<Box<F>>,
    gave_at: Option<Instant>,
    timer: Timer,
}

impl<F: Future<Output = ()>> Future for Stream<F> {
    type Output = Ended;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Ended> {
        let stream = self.get_mut();
        TURN.set(None);
        if stream.future.as_mut().poll(context).is_ready() {
            return Poll::Ready(Ended::Done);
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
    use std::time::Duration;

    use super::*;

    fn stream(turns: &'static [Turn], pause: Duration) -> Stream<impl Future<Output = ()>> {
        let future = async move {
            for turn in turns {
                note(*turn);
                tokio::time::sleep(pause).await;
            }
            poll_fn(|_| Poll::<()>::Pending).await;
        };
        Stream { future: Box::pin(future), gave_at: None, timer: Timer::default() }
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
