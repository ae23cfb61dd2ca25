//! A response as it arrives, read by many.
//!
//! **Protocol.** One writer (the fill's task), any number of readers on any worker. The head is settled once, and decides
//! whether there is a body to share. The body grows at its end only; each reader keeps its own offset and is woken when
//! there is more. "Complete" is a fact that the writer states; a body without it is broken, and so is its reader's
//! response. While the response is stored all of it stays readable from the start. When it turns out too large to store,
//! or too much memory is held for viewers, only a window stays: the writer waits for the slowest reader, for a bounded
//! time. When the fill is over, what all readers have read is let go.
//!
//! **Memory.** Bytes that are not in allocations of the store count as pinned here, those that are there.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderName;
use proxima_edge_core::entry::StoredResponse;
use proxima_edge_core::key::CacheKey;
use proxima_edge_core::limits;
use proxima_edge_core::storable::OriginResponse;

use super::Begun;
use crate::metrics::Metrics;
use crate::origin::OriginError;
use crate::store::Found;

/// Head of a response that is being stored.
#[derive(Debug)]
pub struct FillHead {
    /// Where it will be stored.
    pub key: CacheKey,
    /// Request headers that it, and others under the same primary key, differ by.
    pub names: Arc<[HeaderName]>,
    /// As the origin sent it: for the viewer who caused the fetch.
    pub response: OriginResponse,
    /// As it will be stored: for everybody else.
    pub stored: StoredResponse,
}

/// What is known of the head.
#[derive(Clone, Debug)]
pub(super) enum Head {
    /// Nothing yet.
    Pending,
    /// It is being stored, and streams to whoever asks.
    Streaming(Arc<FillHead>),
    /// What was kept answers after all: the origin confirmed it, or failed.
    Kept(Found, Standing),
    /// It may not be stored: each viewer asks for itself.
    NotStorable,
    /// There is none: the origin failed.
    Failed(OriginError),
    /// The task died before it knew.
    Abandoned,
}

/// Why what was kept answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The origin says that it has not changed.
    Confirmed,
    /// The origin failed, and it may be served stale.
    InPlaceOfError,
}

/// Why a reader gets no further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The origin's body ended before its end, or the task died.
    #[error("{0}")]
    Broken(String),
    /// This reader lagged by the whole window for too long.
    #[error("the viewer read too slowly to keep up with a response that is not stored")]
    TooSlow,
}

/// A response in the making.
pub(super) struct Progress {
    state: Mutex<State>,
    metrics: Arc<Metrics>,
    pub(super) begun: Begun,
    /// The request shows credentials that are not in the key.
    personal: bool,
}

#[derive(Debug)]
struct State {
    head: Head,
    /// Consecutive pieces of the body with their offsets.
    pieces: VecDeque<(u64, Bytes)>,
    /// Bytes at the end of the pieces that are as they came, not in allocations of the store.
    loose: u64,
    received: u64,
    end: Option<Result<(), ReadError>>,
    /// Only a window is kept.
    windowed: bool,
    /// The fill is over and nobody new comes.
    closed: bool,
    readers: Vec<Option<ReaderState>>,
    free: Vec<usize>,
    reader_count: usize,
    /// The writer, while it waits for readers to advance.
    writer: Option<Waker>,
}

#[derive(Debug, Default)]
struct ReaderState {
    offset: u64,
    /// Where it was when the writer began to wait.
    mark: u64,
    waker: Option<Waker>,
    cut: bool,
}

impl State {
    /// Bytes held.
    fn held(&self) -> u64 {
        self.pieces.front().map_or(0, |(first, _)| self.received - first)
    }

    /// Bytes held by a fill in progress.
    fn in_progress(&self) -> u64 {
        if self.end.is_some() { 0 } else { self.held() }
    }

    fn slowest(&self) -> Option<u64> {
        self.readers.iter().flatten().filter(|reader| !reader.cut).map(|reader| reader.offset).min()
    }

    /// Forgets what every reader has read.
    fn trim(&mut self) {
        // Where only a window is kept, nobody new comes.
        let slowest = match self.slowest() {
            None if self.windowed => self.received,
            None => return,
            Some(slowest) => slowest,
        };
        while self.pieces.front().is_some_and(|(offset, bytes)| offset + bytes.len() as u64 <= slowest) {
            self.pieces.pop_front();
        }
        self.loose = self.loose.min(self.held());
    }

    /// Forgets the first pieces when this reader, which was at `offset`, was the last to need them.
    fn trim_behind(&mut self, offset: u64) {
        let Some((start, bytes)) = self.pieces.front().filter(|_| self.closed) else { return };
        let end = start + bytes.len() as u64;
        let lags = |reader: &ReaderState| !reader.cut && reader.offset < end;
        if offset >= end || self.readers.iter().flatten().any(lags) {
            return;
        }
        match self.reader_count {
            0 => self.pieces.clear(),
            _ => self.trim(),
        }
        self.loose = self.loose.min(self.held());
    }

    fn has_room(&self) -> bool {
        !self.windowed
            || self
                .slowest()
                .is_none_or(|slowest| self.received.saturating_sub(slowest) < limits::UNSTORED_WINDOW_BYTES)
    }

    /// Ends the readers that lag by the whole window and have hardly moved since the writer began to wait.
    fn cut_laggards(&mut self) {
        let keep_from = self.received.saturating_sub(limits::UNSTORED_WINDOW_BYTES);
        for reader in self.readers.iter_mut().flatten() {
            reader.cut |= reader.offset <= keep_from && reader.offset - reader.mark < limits::UNSTORED_WINDOW_BYTES;
        }
        self.trim();
    }

    fn wake_readers(&mut self) -> Vec<Waker> {
        self.readers.iter_mut().flatten().filter_map(|reader| reader.waker.take()).collect()
    }

    fn piece_at(&self, offset: u64) -> Option<Bytes> {
        let after = self.pieces.partition_point(|(start, _)| *start <= offset);
        let (start, bytes) = self.pieces.get(after.checked_sub(1)?)?;
        let skip = usize::try_from(offset - start).ok()?;
        (skip < bytes.len()).then(|| bytes.slice(skip..))
    }
}

// The writer's side.
impl Progress {
    pub(super) fn new(metrics: &Arc<Metrics>, begun: Begun, personal: bool) -> Self {
        let state = State {
            head: Head::Pending,
            pieces: VecDeque::new(),
            loose: 0,
            received: 0,
            end: None,
            windowed: false,
            closed: false,
            readers: Vec::new(),
            free: Vec::new(),
            reader_count: 0,
            writer: None,
        };
        Self { state: Mutex::new(state), metrics: Arc::clone(metrics), begun, personal }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs while the state is inconsistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and counts what is held by it from then on.
    fn counted<T>(&self, state: &mut State, change: impl FnOnce(&mut State) -> T) -> T {
        let (in_progress, loose) = (state.in_progress(), state.loose);
        let result = change(state);
        if state.in_progress() != in_progress {
            self.metrics.fill_bytes.inc_by(state.in_progress().cast_signed() - in_progress.cast_signed());
        }
        if state.loose != loose {
            self.metrics.pinned_bytes.inc_by(state.loose.cast_signed() - loose.cast_signed());
        }
        result
    }

    /// Changes the state and wakes all readers, outside of the lock.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let (result, wakers) = {
            let mut state = self.state();
            (self.counted(&mut state, change), state.wake_readers())
        };
        wakers.into_iter().for_each(Waker::wake);
        result
    }

    /// Settles the head.
    pub(super) fn settle(&self, head: Head) {
        self.change(|state| state.head = head);
    }

    /// Appends bytes.
    pub(super) fn push(&self, bytes: Bytes) {
        self.change(|state| {
            let offset = state.received;
            state.received += bytes.len() as u64;
            state.loose += bytes.len() as u64;
            state.pieces.push_back((offset, bytes));
            if state.windowed {
                state.trim();
            }
        });
    }

    /// Replaces everything from `offset` on by the same bytes in one allocation, the one that is stored too.
    pub(super) fn consolidate(&self, offset: u64, bytes: Bytes) {
        let consolidated = |state: &mut State| {
            while state.pieces.back().is_some_and(|(start, _)| *start >= offset) {
                state.pieces.pop_back();
            }
            state.loose = 0;
            state.pieces.push_back((offset, bytes));
            if state.windowed {
                state.trim();
            }
        };
        self.counted(&mut self.state(), consolidated);
    }

    /// From now on only a window is kept.
    pub(super) fn keep_window(&self) {
        self.change(|state| {
            state.windowed = true;
            state.trim();
        });
    }

    /// Waits until the window has room. Whoever lags by the whole window and reads less than a window within
    /// [`limits::SLOW_VIEWER`] is cut off; a steady reader, however slow, is waited for.
    pub(super) async fn room(&self) {
        loop {
            if !self.begin_wait() {
                return;
            }
            let has_room = std::future::poll_fn(|cx| {
                let mut state = self.state();
                if state.has_room() {
                    return Poll::Ready(());
                }
                state.writer = Some(cx.waker().clone());
                Poll::Pending
            });
            if tokio::time::timeout(limits::SLOW_VIEWER, has_room).await.is_ok() {
                return;
            }
            self.change(State::cut_laggards);
        }
    }

    /// Notes where every reader is. False: there is no need to wait.
    fn begin_wait(&self) -> bool {
        let mut state = self.state();
        if state.has_room() {
            return false;
        }
        for reader in state.readers.iter_mut().flatten() {
            reader.mark = reader.offset;
        }
        true
    }

    /// Readers that still want the body.
    pub(super) fn readers(&self) -> usize {
        let state = self.state();
        if !state.windowed {
            return state.reader_count;
        }
        state.readers.iter().flatten().filter(|reader| !reader.cut).count()
    }

    /// States how the body ended.
    pub(super) fn finish(&self, end: Result<(), ReadError>) {
        self.change(|state| {
            state.end.get_or_insert(end);
        });
    }

    /// The task is gone, and nobody new can find what it leaves. Had it come to its end, that stands.
    pub(super) fn abandon(&self) {
        self.change(|state| {
            match state.head {
                Head::Pending => state.head = Head::Abandoned,
                Head::Streaming(_) => {
                    state.end.get_or_insert(Err(ReadError::Broken("the fetch was abandoned".to_owned())));
                }
                Head::Kept(..) | Head::NotStorable | Head::Failed(_) | Head::Abandoned => {}
            }
            state.closed = true;
            state.trim_behind(0);
        });
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let mut state = self.state();
        self.counted(&mut state, |state| {
            state.pieces.clear();
            state.loose = 0;
        });
    }
}

// The readers' side.
impl Progress {
    /// Whether others may wait for it: it is not a fetch with credentials whose response might be for one viewer alone.
    pub(super) fn is_open(&self) -> bool {
        !self.personal || matches!(self.state().head, Head::Streaming(_))
    }

    /// A reader from the first byte. None: there are too many, or the first byte is no longer held.
    pub(super) fn reader(progress: &Arc<Self>) -> Option<FillReader> {
        let mut state = progress.state();
        let broken = matches!(state.end, Some(Err(_)));
        if broken || state.windowed || state.closed || state.reader_count >= limits::FOLLOWERS_PER_FILL {
            return None;
        }
        state.reader_count += 1;
        let slot = match state.free.pop() {
            Some(slot) => slot,
            None => {
                state.readers.push(None);
                state.readers.len() - 1
            }
        };
        state.readers[slot] = Some(ReaderState::default());
        Some(FillReader { progress: Arc::clone(progress), slot })
    }
}

/// One viewer's place in a response that is being filled.
pub struct FillReader {
    progress: Arc<Progress>,
    slot: usize,
}

impl FillReader {
    /// Waits until the head is settled.
    pub(super) async fn head(&self) -> Head {
        std::future::poll_fn(|cx| {
            let mut state = self.progress.state();
            if !matches!(state.head, Head::Pending) {
                return Poll::Ready(state.head.clone());
            }
            self.own(&mut state).waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// What it reads.
    pub(super) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// The head, where it is shared.
    pub fn shared_head(&self) -> Option<Arc<FillHead>> {
        match &self.progress.state().head {
            Head::Streaming(head) => Some(Arc::clone(head)),
            Head::Pending | Head::Kept(..) | Head::NotStorable | Head::Failed(_) | Head::Abandoned => None,
        }
    }

    /// Bytes of the body that have arrived.
    pub fn received(&self) -> u64 {
        self.progress.state().received
    }

    /// Leaves out what is before `offset`, which may not have arrived yet. Never goes back: what has been read may be
    /// gone.
    pub fn skip_to(&mut self, offset: u64) {
        let writer = {
            let mut state = self.progress.state();
            let own = self.own(&mut state);
            own.offset = own.offset.max(offset);
            state.writer.take()
        };
        if let Some(writer) = writer {
            writer.wake();
        }
    }

    /// The next bytes, never empty; `None` at the proper end.
    pub fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ReadError>>> {
        self.poll_data_until(cx, u64::MAX)
    }

    /// The next bytes before the offset `end`, which is ahead; never empty; `None` at the proper end of the body.
    pub fn poll_data_until(&mut self, cx: &mut Context<'_>, end: u64) -> Poll<Option<Result<Bytes, ReadError>>> {
        let mut state = self.progress.state();
        let ReaderState { offset, cut, .. } = *self.own(&mut state);
        if cut {
            return Poll::Ready(Some(Err(ReadError::TooSlow)));
        }
        if let Some(mut bytes) = state.piece_at(offset) {
            bytes.truncate(usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX));
            self.own(&mut state).offset += bytes.len() as u64;
            self.progress.counted(&mut state, |state| state.trim_behind(offset));
            let writer = state.writer.take();
            drop(state);
            if let Some(writer) = writer {
                writer.wake();
            }
            return Poll::Ready(Some(Ok(bytes)));
        }
        match state.end.clone() {
            Some(Ok(())) => Poll::Ready(None),
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            None => {
                self.own(&mut state).waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn own<'a>(&self, state: &'a mut State) -> &'a mut ReaderState {
        state.readers[self.slot].as_mut().expect("a reader owns its slot until it is dropped")
    }
}

impl Drop for FillReader {
    fn drop(&mut self) {
        let writer = {
            let mut state = self.progress.state();
            state.readers[self.slot] = None;
            state.free.push(self.slot);
            state.reader_count -= 1;
            self.progress.counted(&mut state, |state| state.trim_behind(0));
            state.writer.take()
        };
        if let Some(writer) = writer {
            writer.wake();
        }
    }
}

#[cfg(test)]
mod tests;
