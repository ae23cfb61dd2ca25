//! Which streams of an HTTP/2 connection begin, are answered and are reset, followed by the heads of its frames.
//!
//! The library that speaks HTTP/2 refuses malformed requests by itself, and tells nobody. But they are seen to begin in
//! what the viewer sends, and to end in what is written. A stream that ends without having been given to the service is
//! one that the library refused.
//!
//! It owns the heads of frames (RFC 9113 § 4.1) and the order of streams. It must not judge what fields say, nor whether
//! frames are allowed: that is the library's.

use std::collections::VecDeque;

use crate::limits;

/// What a viewer begins a connection with (RFC 9113 § 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of a frame's head.
pub const HEAD_BYTES: usize = 9;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;

/// Flag of HEADERS and DATA.
const END_STREAM: u8 = 1;

/// A frame that matters here. DATA and all others are passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The first fields of a message, or its trailer.
    Headers {
        /// Stream.
        stream: u32,
        /// Bytes behind the head.
        length: u32,
        /// Nothing follows on this side of the stream.
        end: bool,
    },
    /// A stream ends at once.
    Reset {
        /// Stream.
        stream: u32,
        /// Error code (RFC 9113 § 7).
        code: u32,
    },
}

/// Follows one direction of a connection, in any pieces.
#[derive(Clone, Copy, Debug, Default)]
pub struct Frames {
    /// Bytes that mean nothing here.
    skip: u32,
    /// The head, and the code of a RST_STREAM.
    bytes: [u8; HEAD_BYTES + 4],
    seen: usize,
}

impl Frames {
    /// What the edge writes.
    pub fn written() -> Self {
        Self::default()
    }

    /// What a viewer sends, from its preface.
    pub fn sent() -> Self {
        Self { skip: u32::try_from(PREFACE.len()).expect("24 fits"), ..Self::default() }
    }

    /// Whether the next byte is the first of a frame.
    pub fn is_between(&self) -> bool {
        self.skip == 0 && self.seen == 0
    }

    /// Follows up to the end of the head of a frame that matters, or the end of the code of a reset, or of the piece.
    /// Tells how many bytes that is.
    pub fn next(&mut self, piece: &[u8]) -> (usize, Option<Frame>) {
        let mut at = 0;
        while at < piece.len() {
            let rest = &piece[at..];
            if self.skip > 0 {
                let here = u32::try_from(rest.len()).unwrap_or(u32::MAX).min(self.skip);
                self.skip -= here;
                at += here as usize;
                continue;
            }
            let here = (self.wanted() - self.seen).min(rest.len());
            self.bytes[self.seen..self.seen + here].copy_from_slice(&rest[..here]);
            self.seen += here;
            at += here;
            if self.seen == self.wanted() {
                let frame = self.frame();
                self.skip = self.length() - u32::try_from(self.seen - HEAD_BYTES).expect("4 fits");
                self.seen = 0;
                if frame.is_some() {
                    return (at, frame);
                }
            }
        }
        (at, None)
    }

    /// Follows a whole piece.
    pub fn follow(&mut self, piece: &[u8], mut tell: impl FnMut(Frame)) {
        let mut rest = piece;
        while !rest.is_empty() {
            let (here, frame) = self.next(rest);
            rest = &rest[here..];
            if let Some(frame) = frame {
                tell(frame);
            }
        }
    }

    fn wanted(&self) -> usize {
        let is_reset = self.seen >= HEAD_BYTES && self.bytes[3] == RST_STREAM && self.length() >= 4;
        if is_reset { HEAD_BYTES + 4 } else { HEAD_BYTES }
    }

    fn length(&self) -> u32 {
        let [a, b, c, ..] = self.bytes;
        u32::from_be_bytes([0, a, b, c])
    }

    fn frame(&self) -> Option<Frame> {
        let [_, _, _, kind, flags, stream @ ..] = self.bytes;
        let [a, b, c, d, code @ ..] = stream;
        let stream = u32::from_be_bytes([a & 0x7f, b, c, d]);
        match kind {
            HEADERS => Some(Frame::Headers { stream, length: self.length(), end: flags & END_STREAM != 0 }),
            RST_STREAM if self.seen > HEAD_BYTES => Some(Frame::Reset { stream, code: u32::from_be_bytes(code) }),
            _ => None,
        }
    }
}

/// Adds a field to a block of fields, in the form that neither side remembers (RFC 7541 § 6.2.2).
pub fn literal(name: &[u8], value: &[u8], block: &mut Vec<u8>) {
    block.push(0);
    for text in [name, value] {
        string(text, block);
    }
}

/// Plain bytes behind their number, which begins in seven bits (RFC 7541 § 5.1, § 5.2).
fn string(text: &[u8], block: &mut Vec<u8>) {
    const FULL: u8 = 127;
    match u8::try_from(text.len()) {
        Ok(length) if length < FULL => block.push(length),
        _ => {
            block.push(FULL);
            let mut rest = text.len() - usize::from(FULL);
            while rest > usize::from(FULL) {
                block.push(u8::try_from(rest & usize::from(FULL)).expect("seven bits") | 0x80);
                rest >>= 7;
            }
            block.push(u8::try_from(rest).expect("at most seven bits are left"));
        }
    }
    block.extend_from_slice(text);
}

/// The streams of a connection that nobody has seen to yet: begun, and neither given to the service nor refused.
///
/// The library may give a stream to the service after it has reset it, and does not say which one it gives. But whenever
/// it rests, it has given all that it did not refuse: of those that began and ended meanwhile, as many were refused as
/// the service was given too few. Only where the socket takes nothing do resets come later than that. A refused stream
/// then counts as served and a served one as not; the count is right again when that one is answered.
#[derive(Debug, Default)]
pub struct Unserved {
    newest: u32,
    streams: VecDeque<u32>,
    /// Codes of those that were reset since the library rested.
    reset: VecDeque<u32>,
    /// Streams that the service was given since then.
    served: usize,
}

impl Unserved {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Whether this is one.
    pub fn has(&self, stream: u32) -> bool {
        self.streams.contains(&stream)
    }

    /// The viewer sent fields: of a new stream, or the trailer of an old one.
    pub fn begins(&mut self, stream: u32) {
        if stream > self.newest && self.streams.len() < limits::HTTP2_UNSERVED {
            self.newest = stream;
            self.streams.push_back(stream);
        }
    }

    /// The service was given a stream.
    pub fn served(&mut self) {
        self.served += 1;
    }

    /// A stream was answered. Whether it counts as refused.
    pub fn answered(&mut self, stream: u32) -> bool {
        let place = self.streams.iter().position(|unserved| *unserved == stream);
        place.is_some_and(|place| self.streams.remove(place).is_some())
    }

    /// A stream was reset.
    pub fn reset(&mut self, stream: u32, code: u32) {
        if self.answered(stream) {
            self.reset.push_back(code);
        }
    }

    /// The library rests. The codes that streams were reset with which the service was never given.
    pub fn rest(&mut self) -> impl Iterator<Item = u32> + use<> {
        let live = self.served.min(self.streams.len());
        self.streams.drain(..live);
        let also_served = (self.served - live).min(self.reset.len());
        self.served = 0;
        std::mem::take(&mut self.reset).into_iter().skip(also_served)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
    }

    fn followed(mut frames: Frames, stream: &[u8], piece: usize) -> Vec<Frame> {
        let mut found = Vec::new();
        for piece in stream.chunks(piece) {
            frames.follow(piece, |frame| found.push(frame));
        }
        assert!(frames.is_between());
        found
    }

    #[test]
    fn fields_and_resets_are_found_however_the_stream_is_cut() {
        let reserved = [0, 0, 0, HEADERS, END_STREAM, 0x80, 0, 0, 7];
        let stream = [
            frame(4, 0, 0, &[0; 12]),
            frame(HEADERS, 4 | END_STREAM, 1, b"fields"),
            frame(0, 0, 1, &frame(HEADERS, 0, 9, b"in data")),
            frame(RST_STREAM, 0, 3, &[0, 0, 1, 2]),
            frame(RST_STREAM, 0, 3, b"bad"),
            frame(HEADERS, 4, 5, b""),
            reserved.to_vec(),
            frame(7, 0, 0, &[0; 8]),
        ]
        .concat();
        let expected = [
            Frame::Headers { stream: 1, length: 6, end: true },
            Frame::Reset { stream: 3, code: 0x102 },
            Frame::Headers { stream: 5, length: 0, end: false },
            Frame::Headers { stream: 7, length: 0, end: true },
        ];
        for piece in 1..=stream.len() {
            assert_eq!(followed(Frames::written(), &stream, piece), expected, "in pieces of {piece}");
            let sent = [PREFACE, &stream].concat();
            assert_eq!(followed(Frames::sent(), &sent, piece), expected, "behind the preface, in pieces of {piece}");
        }
    }

    fn begun(streams: &[u32]) -> Unserved {
        let mut unserved = Unserved::default();
        for stream in streams {
            unserved.begins(*stream);
        }
        unserved
    }

    fn refused(unserved: &mut Unserved) -> Vec<u32> {
        unserved.rest().collect()
    }

    #[test]
    fn what_is_reset_without_having_been_served_was_refused() {
        let mut unserved = begun(&[1, 3, 5, 7, 5]);
        unserved.reset(1, 8);
        unserved.reset(5, 9);
        unserved.served();
        unserved.served();
        assert_eq!(refused(&mut unserved), [8, 9]);
        unserved.reset(3, 1);
        assert!(!unserved.answered(7) && unserved.is_empty(), "the service sees to them");
        assert!(refused(&mut unserved).is_empty());
    }

    #[test]
    fn what_is_served_although_it_was_reset_was_not_refused() {
        let mut unserved = begun(&[1, 3, 5]);
        unserved.reset(1, 8);
        unserved.reset(3, 8);
        unserved.served();
        unserved.served();
        assert_eq!(refused(&mut unserved), [8]);
        assert!(unserved.is_empty());
    }

    #[test]
    fn stream_whose_fields_are_not_complete_is_waited_for() {
        let mut unserved = begun(&[1, 3]);
        unserved.served();
        assert!(refused(&mut unserved).is_empty());
        assert!(unserved.has(3));
        unserved.reset(3, 1);
        assert_eq!(refused(&mut unserved), [1]);
    }

    #[test]
    fn refusal_that_could_not_be_written_at_once_is_counted_when_the_stream_behind_it_is_answered() {
        let mut unserved = begun(&[1, 3]);
        unserved.served();
        assert!(refused(&mut unserved).is_empty());
        unserved.reset(1, 1);
        assert!(refused(&mut unserved).is_empty());
        assert!(unserved.answered(3));
        assert!(unserved.is_empty());
    }

    #[test]
    fn fields_are_literals_of_any_length() {
        let block = |length| {
            let mut block = Vec::new();
            literal(b"a", &vec![b'x'; length], &mut block);
            block
        };
        assert_eq!(block(2), b"\0\x01a\x02xx");
        assert_eq!(block(126)[..4], [0, 1, b'a', 126]);
        assert_eq!(block(127)[..5], [0, 1, b'a', 127, 0]);
        assert_eq!(block(254)[..5], [0, 1, b'a', 127, 127]);
        assert_eq!(block(255)[..6], [0, 1, b'a', 127, 128, 1]);
        assert_eq!(block(300)[..6], [0, 1, b'a', 127, 0x80 | 45, 1]);
        assert_eq!(block(300).len(), 306);
    }

    #[test]
    fn number_is_bounded() {
        let mut unserved = Unserved::default();
        for stream in 1..10_000 {
            unserved.begins(stream);
        }
        assert_eq!(unserved.streams.len(), limits::HTTP2_UNSERVED);
    }
}
