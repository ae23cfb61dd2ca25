//! Whole lines at a time: nearly all heads consist of lines that framing has no interest in.
//!
//! Each function either proves that following bytes are plain and says how many, or says nothing; then they are
//! followed one by one. It must never accept what the slow way would refuse, or understand differently.

use memchr::memchr2;

/// Length of the fields that `CONTENT_LENGTH` and `TRANSFER_ENCODING` name.
const LENGTH_NAME: usize = super::CONTENT_LENGTH.len();
const CODING_NAME: usize = super::TRANSFER_ENCODING.len();

/// Length of a plain request line of HTTP/1.1 at the beginning of `bytes`, its line end included.
pub(super) fn request_line(bytes: &[u8]) -> Option<usize> {
    let method = token(bytes, b' ')?;
    let length = line(bytes)?;
    let target = bytes.get(method + 1..length)?.strip_suffix(b" HTTP/1.1\r\n")?;
    (!target.is_empty() && memchr2(b' ', b'#', target).is_none()).then_some(length)
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
    if framing { None } else { Some(name.len() + line(rest)?) }
}

/// Length of the token at the beginning of `bytes`, if `end` is what ends it. Tokens are short, and a table is the
/// fastest way to look at them.
fn token(bytes: &[u8], end: u8) -> Option<usize> {
    const TOKEN: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = 0;
        while byte < table.len() {
            table[byte] = super::is_token(byte as u8);
            byte += 1;
        }
        table
    };
    let length = bytes.iter().position(|&byte| !TOKEN[usize::from(byte)])?;
    (length > 0 && bytes[length] == end).then_some(length)
}

/// Length of the line at the beginning of `bytes`, its end included, if it has no control characters. A tab would be
/// allowed, but nobody sends one.
fn line(bytes: &[u8]) -> Option<usize> {
    let length = visible(bytes);
    bytes[length..].starts_with(b"\r\n").then_some(length + 2)
}

/// How many bytes there are before the first control character: eight at a time, by the arithmetic that finds a byte
/// below a bound in a word. A byte above the first that is found may be found wrongly; nobody looks at it.
fn visible(bytes: &[u8]) -> usize {
    const EACH: u64 = u64::MAX / 0xff;
    const HIGH: u64 = EACH * 0x80;
    let below = |word: u64, bound: u64| word.wrapping_sub(EACH * bound) & !word & HIGH;
    let mut words = bytes.chunks_exact(size_of::<u64>());
    let mut length = 0;
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().expect("chunks have the size that was asked for"));
        let controls = below(word, 0x20) | below(word ^ (EACH * 0x7f), 1);
        if controls != 0 {
            return length + controls.trailing_zeros() as usize / 8;
        }
        length += size_of::<u64>();
    }
    length + words.remainder().iter().take_while(|byte| !byte.is_ascii_control()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_at_every_place_is_visible_or_ends_what_is() {
        for byte in 0..=255_u8 {
            for place in 0..20 {
                for filler in [b' ', b'~', 0x80, 0xff] {
                    let mut bytes = [filler; 20];
                    bytes[place] = byte;
                    let expected = if byte.is_ascii_control() { place } else { bytes.len() };
                    assert_eq!(visible(&bytes), expected, "{byte:#x} at {place} among {filler:#x}");
                }
            }
        }
    }
}
