//! Where the requests on an HTTP/1 connection begin and end, followed byte by byte, and what makes that unclear.
//!
//! Whoever reads a connection laxly can be made to see other requests in it than a strict reader sees: request smuggling.
//! A library that shows a finished request hides much of what matters here, so this module follows the bytes
//! themselves: RFC 9112 without any of the leniency that it allows. It keeps no bytes and may be given any pieces of the
//! stream; how the stream is cut never changes the verdict.
//!
//! It owns framing and the form of lines. It must not judge what a request means: Host, paths and methods are
//! `request`'s.

mod fast;
pub mod http2;
mod violation;

pub use violation::Violation;

use crate::limits;

/// A violation and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breach {
    /// What it is.
    pub violation: Violation,
    /// Index of the first byte that cannot be, within the piece in which it was found.
    pub at: usize,
    /// What that byte should have been part of.
    pub within: Position,
}

/// Where in the stream the next byte belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Between two requests.
    Between,
    /// In a request line or header.
    Head,
    /// In a body: its bytes, its chunks' framing, or its trailer.
    Body,
}

/// Follows one connection.
#[derive(Clone, Debug)]
pub struct Framing {
    state: State,
    head: Head,
    /// Empty lines since the last request.
    empty_lines: u8,
    /// Bytes of chunk extensions in this body.
    extension_bytes: u16,
    /// In the trailer of a chunked body: lines have the same form, and nothing in them counts.
    trailer: bool,
    /// Where the head began that was last seen to begin, within the last piece.
    began: Option<usize>,
    /// Heads that have begun.
    heads: u64,
}

/// What the head said so far of the body that follows it.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    version: u8,
    length: Option<u64>,
    chunked: bool,
}

/// What the next byte is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A new request may begin.
    Start,
    /// The line feed of an empty line before a request.
    EmptyLineFeed,
    Method,
    TargetFirst,
    Target,
    /// The version, this many of its bytes were seen.
    Version(u8),
    RequestLineFeed,
    FieldFirst,
    Name(Name),
    Value(Value),
    ValueLineFeed(Value),
    /// The line feed of the empty line at the end of a head or trailer.
    LastLineFeed,
    /// Bytes of a body of known length.
    Body(u64),
    ChunkSizeFirst,
    /// Hexadecimal digits so far, and their value.
    ChunkSize(u8, u64),
    ChunkExtension(u64),
    ChunkSizeLineFeed(u64),
    Chunk(u64),
    ChunkCarriageReturn,
    ChunkLineFeed,
    /// After a violation nothing is followed any more.
    Broken(Violation, Position),
}

/// A field name so far, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    /// Begins like Content-Length, for this many bytes.
    Length(u8),
    /// Begins like Transfer-Encoding.
    Coding(u8),
    Other,
}

/// A field value so far, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    Other,
    /// Digits of a Content-Length: their number and value, and whether white space followed.
    Length(u8, u64, bool),
    /// Bytes of `chunked` seen, and whether white space followed.
    Coding(u8, bool),
}

const CONTENT_LENGTH: &[u8] = b"content-length";
const TRANSFER_ENCODING: &[u8] = b"transfer-encoding";
const CHUNKED: &[u8] = b"chunked";
const VERSION: &[u8] = b"HTTP/1.";

/// More digits than any body has bytes, leading zeros counted: nobody has a reason to send them.
const LENGTH_DIGITS: u8 = 19;
const CHUNK_SIZE_DIGITS: u8 = 16;

type Step = Result<State, Violation>;

impl Framing {
    /// At the beginning of a connection.
    pub fn new() -> Self {
        Self {
            state: State::Start,
            head: Head::default(),
            empty_lines: 0,
            extension_bytes: 0,
            trailer: false,
            began: None,
            heads: 0,
        }
    }

    /// Follows the next piece of the stream. After a breach every further piece is a breach at its first byte.
    pub fn follow(&mut self, piece: &[u8]) -> Result<(), Breach> {
        self.began = None;
        let mut at = 0;
        while let Some(rest) = piece.get(at..).filter(|rest| !rest.is_empty()) {
            at += match self.state {
                State::Body(left) => self.skip(rest, left, State::Start, State::Body),
                State::Chunk(left) => self.skip(rest, left, State::ChunkCarriageReturn, State::Chunk),
                State::Start if let Some(line) = fast::request_line(rest) => {
                    self.begin(at, Head { version: 1, ..Head::default() });
                    self.state = State::FieldFirst;
                    line
                }
                State::FieldFirst if let Some(lines) = fast::fields(rest) => lines,
                State::FieldFirst if rest.starts_with(b"\r\n") => {
                    self.state = self.after_head();
                    b"\r\n".len()
                }
                state => {
                    if state == State::Start && rest[0] != b'\r' {
                        self.begin(at, Head::default());
                    }
                    let within = self.position();
                    self.state = self.step(state, rest[0]).map_err(|violation| {
                        self.state = State::Broken(violation, within);
                        Breach { violation, at, within }
                    })?;
                    1
                }
            };
        }
        Ok(())
    }

    /// Where the next byte belongs.
    pub fn position(&self) -> Position {
        match self.state {
            State::Start | State::EmptyLineFeed => Position::Between,
            State::Broken(_, within) => within,
            _ if self.trailer => Position::Body,
            State::Body(_)
            | State::ChunkSizeFirst
            | State::ChunkSize(..)
            | State::ChunkExtension(_)
            | State::ChunkSizeLineFeed(_)
            | State::Chunk(_)
            | State::ChunkCarriageReturn
            | State::ChunkLineFeed => Position::Body,
            _ => Position::Head,
        }
    }

    /// Where in the last piece the last head began that began in it.
    pub fn head_began(&self) -> Option<usize> {
        self.began
    }

    /// How many heads have begun.
    pub fn heads(&self) -> u64 {
        self.heads
    }

    fn begin(&mut self, at: usize, head: Head) {
        (self.head, self.began) = (head, Some(at));
        self.heads += 1;
        (self.empty_lines, self.extension_bytes, self.trailer) = (0, 0, false);
    }

    /// Passes over bytes that mean nothing to framing; tells how many.
    fn skip(&mut self, rest: &[u8], left: u64, then: State, more: impl Fn(u64) -> State) -> usize {
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
        let left = left - here as u64;
        self.state = if left == 0 { then } else { more(left) };
        here
    }

    fn step(&mut self, state: State, byte: u8) -> Step {
        match state {
            State::Start => self.start(byte),
            State::EmptyLineFeed => line_feed(byte, State::Start),
            State::Method => method(byte),
            State::TargetFirst if byte == b' ' => Err(Violation::RequestLine),
            State::TargetFirst | State::Target => target(byte),
            State::Version(seen) => self.version(seen, byte),
            State::RequestLineFeed => line_feed(byte, State::FieldFirst),
            State::FieldFirst => self.field_first(byte),
            State::Name(name) => self.name(name, byte),
            State::Value(value) => self.value(value, byte),
            State::ValueLineFeed(value) => self.value_ends(value, byte),
            State::LastLineFeed => line_feed(byte, self.after_head()),
            State::ChunkSizeFirst => match chunk_size(0, 0, byte)? {
                state @ State::ChunkSize(..) => Ok(state),
                _ => Err(Violation::ChunkSizeInvalid),
            },
            State::ChunkSize(digits, size) => chunk_size(digits, size, byte),
            State::ChunkExtension(size) => self.chunk_extension(size, byte),
            State::ChunkSizeLineFeed(size) => {
                self.trailer = size == 0;
                line_feed(byte, if size == 0 { State::FieldFirst } else { State::Chunk(size) })
            }
            State::ChunkCarriageReturn if byte == b'\r' => Ok(State::ChunkLineFeed),
            State::ChunkLineFeed if byte == b'\n' => Ok(State::ChunkSizeFirst),
            State::ChunkCarriageReturn | State::ChunkLineFeed => Err(Violation::ChunkEnd),
            State::Broken(violation, _) => Err(violation),
            State::Body(_) | State::Chunk(_) => unreachable!("bytes of bodies are skipped, not looked at"),
        }
    }

    fn start(&mut self, byte: u8) -> Step {
        match byte {
            b'\r' if self.empty_lines == limits::LEADING_EMPTY_LINES => Err(Violation::EmptyLines),
            b'\r' => {
                self.empty_lines += 1;
                Ok(State::EmptyLineFeed)
            }
            b' ' => Err(Violation::RequestLine),
            _ => method(byte),
        }
    }

    fn version(&mut self, seen: u8, byte: u8) -> Step {
        match VERSION.get(usize::from(seen)) {
            Some(&expected) if byte == expected => Ok(State::Version(seen + 1)),
            None if usize::from(seen) == VERSION.len() && matches!(byte, b'0' | b'1') => {
                self.head.version = byte - b'0';
                Ok(State::Version(seen + 1))
            }
            None if usize::from(seen) > VERSION.len() && byte == b'\r' => Ok(State::RequestLineFeed),
            _ if byte == b'\n' => Err(Violation::BareLineFeed),
            _ if seen == 0 => Err(Violation::RequestLine),
            _ => Err(Violation::Version),
        }
    }

    fn field_first(&mut self, byte: u8) -> Step {
        match byte {
            b'\r' => Ok(State::LastLineFeed),
            b' ' | b'\t' => Err(Violation::FoldedField),
            b':' => Err(Violation::FieldName),
            _ if self.trailer => self.name(Name::Other, byte),
            b'c' | b'C' => Ok(State::Name(Name::Length(1))),
            b't' | b'T' => Ok(State::Name(Name::Coding(1))),
            _ => self.name(Name::Other, byte),
        }
    }

    fn name(&mut self, name: Name, byte: u8) -> Step {
        if byte == b':' {
            return Ok(State::Value(match name {
                Name::Length(seen) if usize::from(seen) == CONTENT_LENGTH.len() => self.length_begins()?,
                Name::Coding(seen) if usize::from(seen) == TRANSFER_ENCODING.len() => self.coding_begins()?,
                _ => Value::Other,
            }));
        }
        match byte {
            b' ' | b'\t' => return Err(Violation::SpaceInFieldName),
            b'\n' => return Err(Violation::BareLineFeed),
            b'\r' => return Err(Violation::FieldName),
            0..=0x1f | 0x7f => return Err(Violation::ControlCharacter),
            _ if !is_token(byte) => return Err(Violation::FieldName),
            _ => {}
        }
        let continues = |known: &[u8], seen: u8| known.get(usize::from(seen)) == Some(&byte.to_ascii_lowercase());
        Ok(State::Name(match name {
            Name::Length(seen) if continues(CONTENT_LENGTH, seen) => Name::Length(seen + 1),
            Name::Coding(seen) if continues(TRANSFER_ENCODING, seen) => Name::Coding(seen + 1),
            _ => Name::Other,
        }))
    }

    fn length_begins(&self) -> Result<Value, Violation> {
        if self.head.chunked {
            return Err(Violation::LengthAndCoding);
        }
        if self.head.length.is_some() {
            return Err(Violation::ContentLengthRepeated);
        }
        Ok(Value::Length(0, 0, false))
    }

    fn coding_begins(&self) -> Result<Value, Violation> {
        if self.head.length.is_some() {
            return Err(Violation::LengthAndCoding);
        }
        if self.head.chunked || self.head.version == 0 {
            return Err(Violation::TransferEncodingInvalid);
        }
        Ok(Value::Coding(0, false))
    }

    fn value(&self, value: Value, byte: u8) -> Step {
        match byte {
            b'\r' => return Ok(State::ValueLineFeed(value)),
            b'\n' => return Err(Violation::BareLineFeed),
            b'\t' => {}
            0..=0x1f | 0x7f => return Err(Violation::ControlCharacter),
            _ => {}
        }
        let space = matches!(byte, b' ' | b'\t');
        Ok(State::Value(match value {
            Value::Other => Value::Other,
            Value::Length(digits, length, _) if space => Value::Length(digits, length, digits > 0),
            Value::Length(digits, length, false) if byte.is_ascii_digit() && digits < LENGTH_DIGITS => {
                let length = length * 10 + u64::from(byte - b'0');
                Value::Length(digits + 1, length, false)
            }
            Value::Length(1.., _, _) if byte == b',' => return Err(Violation::ContentLengthRepeated),
            Value::Length(..) => return Err(Violation::ContentLengthInvalid),
            Value::Coding(seen, _) if space => Value::Coding(seen, seen > 0),
            Value::Coding(seen, false) if CHUNKED.get(usize::from(seen)) == Some(&byte.to_ascii_lowercase()) => {
                Value::Coding(seen + 1, false)
            }
            Value::Coding(..) => return Err(Violation::TransferEncodingInvalid),
        }))
    }

    fn value_ends(&mut self, value: Value, byte: u8) -> Step {
        let next = line_feed(byte, State::FieldFirst)?;
        match value {
            Value::Other => {}
            Value::Length(1.., length, _) if length <= limits::BODY_BYTES => self.head.length = Some(length),
            Value::Length(..) => return Err(Violation::ContentLengthInvalid),
            Value::Coding(seen, _) if usize::from(seen) == CHUNKED.len() => self.head.chunked = true,
            Value::Coding(..) => return Err(Violation::TransferEncodingInvalid),
        }
        Ok(next)
    }

    /// What follows a head or trailer.
    fn after_head(&self) -> State {
        match self.head {
            _ if self.trailer => State::Start,
            Head { chunked: true, .. } => State::ChunkSizeFirst,
            Head { length: None | Some(0), .. } => State::Start,
            Head { length: Some(length), .. } => State::Body(length),
        }
    }

    /// RFC 9112 § 7.1.1 asks to ignore extensions and to bound them. Controls and anything but ASCII end the patience, so
    /// that no two readers can differ about where the line ends.
    fn chunk_extension(&mut self, size: u64, byte: u8) -> Step {
        match byte {
            b'\r' => return Ok(State::ChunkSizeLineFeed(size)),
            b'\n' => return Err(Violation::BareLineFeed),
            b'\t' | b' '..=b'~' => {}
            _ => return Err(Violation::ChunkSizeInvalid),
        }
        self.extension_bytes += 1;
        if self.extension_bytes > limits::CHUNK_EXTENSION_BYTES {
            return Err(Violation::ChunkExtensionTooLong);
        }
        Ok(State::ChunkExtension(size))
    }
}

impl Default for Framing {
    fn default() -> Self {
        Self::new()
    }
}

fn line_feed(byte: u8, next: State) -> Step {
    if byte == b'\n' { Ok(next) } else { Err(Violation::BareCarriageReturn) }
}

fn method(byte: u8) -> Step {
    match byte {
        b' ' => Ok(State::TargetFirst),
        b'\n' => Err(Violation::BareLineFeed),
        b'\t' | b'\r' => Err(Violation::RequestLine),
        0..=0x1f | 0x7f => Err(Violation::ControlCharacter),
        _ if is_token(byte) => Ok(State::Method),
        _ => Err(Violation::RequestLine),
    }
}

/// Characters of methods and field names (RFC 9110 § 5.6.2).
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

fn target(byte: u8) -> Step {
    match byte {
        b' ' => Ok(State::Version(0)),
        b'#' => Err(Violation::Fragment),
        b'\n' => Err(Violation::BareLineFeed),
        // A request line of method and target alone is HTTP/0.9.
        b'\r' => Err(Violation::Version),
        0..=0x1f | 0x7f => Err(Violation::ControlCharacter),
        _ => Ok(State::Target),
    }
}

fn chunk_size(digits: u8, size: u64, byte: u8) -> Step {
    let digit = match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        b'A'..=b'F' => byte - b'A' + 10,
        b'\r' => return Ok(State::ChunkSizeLineFeed(size)),
        b';' => return Ok(State::ChunkExtension(size)),
        b'\n' => return Err(Violation::BareLineFeed),
        _ => return Err(Violation::ChunkSizeInvalid),
    };
    if digits == CHUNK_SIZE_DIGITS || size > limits::BODY_BYTES >> 4 {
        return Err(Violation::ChunkSizeTooLarge);
    }
    Ok(State::ChunkSize(digits + 1, size << 4 | u64::from(digit)))
}

#[cfg(test)]
mod tests;
