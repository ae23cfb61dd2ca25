//! Whole lines at a time: nearly all heads consist of lines that framing has no interest in.
//!
//! Each function either proves that following bytes are plain and says how many, or says nothing; then they are
//! followed one by one. It must never accept what the slow way would refuse, or understand differently.

use memchr::memchr;

/// Length of the fields that `CONTENT_LENGTH` and `TRANSFER_ENCODING` name.
const LENGTH_NAME: usize = super::CONTENT_LENGTH.len();
const CODING_NAME: usize = super::TRANSFER_ENCODING.len();

/// Length of a plain request line of HTTP/1.1 at the beginning of `bytes`, its line end included.
pub(super) fn request_line(bytes: &[u8]) -> Option<usize> {
    let method = token(bytes, b' ')?;
    let end = memchr(b'\n', bytes)?;
    let target = bytes.get(method + 1..end)?.strip_suffix(b" HTTP/1.1\r")?;
    (!target.is_empty() && all(target, is_in_target)).then_some(end + 1)
}

/// Length of the plain fields at the beginning of `bytes`, their line ends included.
pub(super) fn fields(bytes: &[u8]) -> Option<usize> {
    let mut length = 0;
    while let Some(field) = field(&bytes[length..]) {
        length += field;
    }
    (length > 0).then_some(length)
}

fn field(bytes: &[u8]) -> Option<usize> {
    let (name, rest) = bytes.split_at(token(bytes, b':')?);
    let framing = match name.len() {
        LENGTH_NAME => name.eq_ignore_ascii_case(super::CONTENT_LENGTH),
        CODING_NAME => name.eq_ignore_ascii_case(super::TRANSFER_ENCODING),
        _ => false,
    };
    let end = memchr(b'\n', rest)?;
    let value = rest[..end].strip_suffix(b"\r")?;
    (!framing && all(value, is_in_value)).then_some(name.len() + end + 1)
}

/// Length of the token at the beginning of `bytes`, if `end` is what ends it.
fn token(bytes: &[u8], end: u8) -> Option<usize> {
    let length = bytes.iter().position(|&byte| !is_in_token(byte))?;
    (length > 0 && bytes[length] == end).then_some(length)
}

/// Without an early end, so that the compiler can look at many bytes at a time.
fn all(bytes: &[u8], good: impl Fn(u8) -> bool) -> bool {
    bytes.iter().fold(true, |all, byte| all & good(*byte))
}

/// Names are short and have a colon within reach; a table is the fastest way to look at them.
fn is_in_token(byte: u8) -> bool {
    const TOKEN: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = 0;
        while byte < table.len() {
            table[byte] = super::is_token(byte as u8);
            byte += 1;
        }
        table
    };
    TOKEN[usize::from(byte)]
}

fn is_in_target(byte: u8) -> bool {
    (byte > b' ') & (byte != 0x7f) & (byte != b'#')
}

fn is_in_value(byte: u8) -> bool {
    ((byte >= b' ') & (byte != 0x7f)) | (byte == b'\t')
}
