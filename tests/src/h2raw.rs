//! HTTP/2 in plain frames, for viewers who break its rules: a library would not let them.

use std::net::SocketAddr;

use crate::http1::Wire;
use crate::wait::within;

/// Types of frames (RFC 9113 § 6).
pub const DATA: u8 = 0;
/// A request's fields.
pub const HEADERS: u8 = 1;
/// Ends a stream at once.
pub const RST_STREAM: u8 = 3;
/// Settings, or their acknowledgement.
pub const SETTINGS: u8 = 4;
/// The last word of a peer.
pub const GOAWAY: u8 = 7;
/// More room for data.
pub const WINDOW_UPDATE: u8 = 8;
/// The rest of a request's fields.
pub const CONTINUATION: u8 = 9;

/// Flag of [`HEADERS`] and [`DATA`].
pub const END_STREAM: u8 = 1;
/// Flag of [`HEADERS`] and [`CONTINUATION`].
pub const END_HEADERS: u8 = 4;

const HEADER_TABLE_SIZE: u16 = 1;
/// `SETTINGS_INITIAL_WINDOW_SIZE`.
pub const INITIAL_WINDOW_SIZE: u16 = 4;

/// One connection.
pub struct RawH2 {
    wire: Wire,
    next: u32,
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream, 0 for the connection.
    pub stream: u32,
    /// The rest.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The error code of a GOAWAY or RST_STREAM.
    pub fn error_code(&self) -> Option<u32> {
        let at = match self.kind {
            GOAWAY => 4,
            RST_STREAM => 0,
            _ => return None,
        };
        let bytes = self.payload.get(at..at + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    }
}

impl RawH2 {
    /// Connects and says the preface with these settings. Answers come without HPACK's memory, so that each can be read
    /// alone.
    pub async fn connect(to: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let mut raw = Self { wire: Wire::connect(to).await.expect("the edge accepts connections"), next: 1 };
        raw.wire.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        let payload: Vec<u8> = [(HEADER_TABLE_SIZE, 0)]
            .iter()
            .chain(settings)
            .flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()[..]].concat())
            .collect();
        raw.write(&frame(SETTINGS, 0, 0, &payload)).await;
        raw
    }

    /// Writes bytes; false when the edge ended the connection.
    pub async fn write(&mut self, bytes: &[u8]) -> bool {
        self.wire.write(bytes).await
    }

    /// The number of a new stream.
    pub fn stream(&mut self) -> u32 {
        let stream = self.next;
        self.next += 2;
        stream
    }

    /// Sends a request without a body; tells its stream.
    pub async fn request(&mut self, fields: &[(&[u8], &[u8])]) -> u32 {
        let stream = self.stream();
        self.write(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &literals(fields))).await;
        stream
    }

    /// The next frame; none when the connection has ended.
    pub async fn frame(&mut self) -> Option<Frame> {
        let head = self.wire.take(9).await;
        let [a, b, c, kind, flags, stream @ ..] = <[u8; 9]>::try_from(head).ok()?;
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        let payload = self.wire.take(length).await;
        (payload.len() == length).then(|| Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })
    }

    /// Reads on until a frame fits; none when the connection ends first.
    pub async fn until(&mut self, what: &str, fits: impl Fn(&Frame) -> bool) -> Option<Frame> {
        let reading = async {
            loop {
                match self.frame().await {
                    Some(frame) if fits(&frame) => return Some(frame),
                    Some(_) => {}
                    None => return None,
                }
            }
        };
        within(what, reading).await
    }

    /// What became of a stream: the first byte of its answer's fields, or the code that it was reset with.
    pub async fn fate(&mut self, stream: u32) -> StreamFate {
        let ends = |frame: &Frame| {
            frame.kind == GOAWAY || frame.stream == stream && matches!(frame.kind, HEADERS | RST_STREAM)
        };
        match self.until("an answer, a reset or the end", ends).await {
            Some(frame) if frame.kind == HEADERS => StreamFate::Answered(status(&frame.payload)),
            Some(frame) => StreamFate::Ended(frame.error_code()),
            None => StreamFate::Ended(None),
        }
    }

    /// The code that the edge ended the connection with, once it did.
    pub async fn goaway(&mut self) -> Option<u32> {
        self.until("the end of the connection", |frame| frame.kind == GOAWAY).await?.error_code()
    }
}

/// What became of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamFate {
    /// With this status.
    Answered(u16),
    /// With this code, or without one.
    Ended(Option<u32>),
}

/// A frame as bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("frames of tests are small").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Fields as HPACK literals that are not remembered, without any check.
pub fn literals(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| [vec![0], string(name), string(value)].concat()).collect()
}

/// A field as an HPACK literal that is remembered: from then on [`NEWEST`] stands for it.
pub fn remembered(name: &[u8], value: &[u8]) -> Vec<u8> {
    [vec![0x40], string(name), string(value)].concat()
}

/// The field that was remembered last, in one byte: index 62.
pub const NEWEST: u8 = 0x80 | 62;

fn string(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    match u8::try_from(bytes.len()) {
        Ok(length @ 0..127) => text.push(length),
        _ => {
            text.push(127);
            let mut rest = bytes.len() - 127;
            while rest >= 128 {
                text.push(u8::try_from(rest & 127).expect("seven bits") | 128);
                rest >>= 7;
            }
            text.push(u8::try_from(rest).expect("seven bits"));
        }
    }
    [text, bytes.to_vec()].concat()
}

/// The fields of an ordinary GET.
pub fn get(path: &[u8]) -> [(&[u8], &[u8]); 4] {
    [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"site.test"), (b":path", path)]
}

/// The status at the beginning of an answer's fields: an entry of the static table, or a literal with its name.
fn status(block: &[u8]) -> u16 {
    // Changes of the table's size come first.
    let block = block.iter().position(|byte| byte >> 5 != 1).map_or(block, |begin| &block[begin..]);
    match block {
        [indexed @ 0x88..=0x8e, ..] => [200, 204, 206, 304, 400, 404, 500][usize::from(indexed - 0x88)],
        [_, 0x83, a, b, ..] => huffman_digits(*a, *b, block.get(4).copied().unwrap_or(0)),
        [_, 3, digits @ ..] => digits.iter().take(3).fold(0, |status, digit| status * 10 + u16::from(digit - b'0')),
        [_, 0x82, a, b, ..] => huffman_digits(*a, *b, 0xff),
        _ => 0,
    }
}

/// Three digits in HPACK's code, in which they have five bits (0 to 2) or six.
fn huffman_digits(a: u8, b: u8, c: u8) -> u16 {
    let bits = u32::from(a) << 16 | u32::from(b) << 8 | u32::from(c);
    let (mut left, mut status) = (24, 0);
    for _ in 0..3 {
        let five = bits >> (left - 5) & 31;
        let digit = if five < 3 {
            left -= 5;
            five
        } else {
            left -= 6;
            (bits >> left & 63).wrapping_sub(0x19) + 3
        };
        status = status * 10 + u16::try_from(digit).unwrap_or(0);
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_read_in_each_form() {
        assert_eq!(status(&[0x88]), 200);
        assert_eq!(status(&[0x20, 0x8c]), 400);
        assert_eq!(status(&[0x48, 3, b'4', b'0', b'3']), 403);
        // 4 = 011010, 0 = 00000, 3 = 011001.
        assert_eq!(status(&[0x48, 0x83, 0b0110_1000, 0b0000_1100, 0b1111_1111]), 403);
        // 5 = 011011, 0 = 00000, 3 = 011001; two bytes and one bit.
        assert_eq!(status(&[0x48, 0x83, 0b0110_1100, 0b0000_1100, 0b1111_1111]), 503);
        // 4, 9 = 011111, 4.
        assert_eq!(status(&[0x48, 0x83, 0b0110_1001, 0b1111_0110, 0b1011_1111]), 494);
    }

    #[test]
    fn frames_and_fields_are_what_the_specification_says() {
        assert_eq!(frame(RST_STREAM, 0, 5, &[0, 0, 0, 8]), [0, 0, 4, 3, 0, 0, 0, 0, 5, 0, 0, 0, 8]);
        assert_eq!(literals(&[(b"a", b"bc")]), [0, 1, b'a', 2, b'b', b'c']);
        assert_eq!(string(&[b'x'; 300])[..3], [127, 173, 1]);
    }
}
