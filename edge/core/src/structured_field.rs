//! Dictionaries of structured fields (RFC 9651 § 3.2, § 4.2), as far as cache directives need them.
//!
//! Strict as the RFC demands: a field with one fault anywhere is no field. Values of types that no directive has are
//! checked and then only known as [`Item::Other`]; parameters are checked and dropped.

use crate::limits;

/// Value of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// `?0`, `?1`, or a member without a value.
    Boolean(bool),
    /// At most fifteen digits.
    Integer(i64),
    /// Without its quotes.
    String(String),
    /// A bare word.
    Token(String),
    /// A decimal, byte sequence, date, display string or inner list.
    Other,
}

/// Members in order; of a repeated key the last value counts, in the place of the first (RFC 9651 § 4.2.2). Lines are
/// one list. `None`: it is not a dictionary.
pub(crate) fn dictionary<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<Vec<(String, Item)>> {
    let joined = lines.collect::<Vec<_>>().join(&b", "[..]);
    let mut reader = Reader { rest: &joined };
    reader.skip(b" ");
    let mut members: Vec<(String, Item)> = Vec::new();
    while !reader.rest.is_empty() {
        let key = reader.key()?;
        let item = if reader.eat(b'=') { reader.member()? } else { Item::Boolean(true) };
        reader.parameters()?;
        match members.iter().position(|(known, _)| *known == key) {
            Some(known) => members[known].1 = item,
            None if members.len() == limits::DICTIONARY_MEMBERS => return None,
            None => members.push((key, item)),
        }
        reader.skip(b" \t");
        if reader.rest.is_empty() {
            break;
        }
        if !reader.eat(b',') {
            return None;
        }
        reader.skip(b" \t");
        if reader.rest.is_empty() {
            return None;
        }
    }
    Some(members)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn skip(&mut self, bytes: &[u8]) {
        self.take(|byte| bytes.contains(&byte));
    }

    fn eat(&mut self, wanted: u8) -> bool {
        let found = self.rest.first() == Some(&wanted);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    fn take(&mut self, keep: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|&byte| !keep(byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// RFC 9651 § 4.2.3.3.
    fn key(&mut self) -> Option<String> {
        if !matches!(self.rest.first()?, b'a'..=b'z' | b'*') {
            return None;
        }
        let key = self.take(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'*'));
        Some(text(key))
    }

    fn member(&mut self) -> Option<Item> {
        if !self.eat(b'(') {
            return self.bare();
        }
        loop {
            self.skip(b" ");
            if self.eat(b')') {
                return Some(Item::Other);
            }
            self.bare()?;
            self.parameters()?;
            if !matches!(self.rest.first(), Some(b' ' | b')')) {
                return None;
            }
        }
    }

    fn parameters(&mut self) -> Option<()> {
        while self.eat(b';') {
            self.skip(b" ");
            self.key()?;
            if self.eat(b'=') {
                self.bare()?;
            }
        }
        Some(())
    }

    /// RFC 9651 § 4.2.3.1.
    fn bare(&mut self) -> Option<Item> {
        match *self.rest.first()? {
            b'-' | b'0'..=b'9' => self.number(),
            b'"' => self.string().map(Item::String),
            b'A'..=b'Z' | b'a'..=b'z' | b'*' => Some(Item::Token(text(self.take(is_token)))),
            b':' => self.bytes(),
            b'?' => self.boolean(),
            b'@' => {
                self.rest = &self.rest[1..];
                matches!(self.number()?, Item::Integer(_)).then_some(Item::Other)
            }
            b'%' => self.display(),
            _ => None,
        }
    }

    /// RFC 9651 § 4.2.4: an integer of at most 15 digits, or a decimal of at most 12 and 1 to 3.
    fn number(&mut self) -> Option<Item> {
        let negative = self.eat(b'-');
        let digits = self.take(|byte| byte.is_ascii_digit());
        if digits.is_empty() || digits.len() > 15 {
            return None;
        }
        if self.eat(b'.') {
            let fraction = self.take(|byte| byte.is_ascii_digit());
            return (digits.len() <= 12 && (1..=3).contains(&fraction.len())).then_some(Item::Other);
        }
        let number = digits.iter().fold(0_i64, |sum, digit| sum * 10 + i64::from(digit - b'0'));
        Some(Item::Integer(if negative { -number } else { number }))
    }

    /// RFC 9651 § 4.2.5: printable ASCII; only quote and backslash may be escaped.
    fn string(&mut self) -> Option<String> {
        self.rest = &self.rest[1..];
        let mut text = String::new();
        loop {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            match byte {
                b'"' => return Some(text),
                b'\\' => {
                    let (&escaped, rest) = self.rest.split_first()?;
                    self.rest = rest;
                    matches!(escaped, b'"' | b'\\').then(|| text.push(char::from(escaped)))?;
                }
                b' '..=b'~' => text.push(char::from(byte)),
                _ => return None,
            }
        }
    }

    /// RFC 9651 § 4.2.7.
    fn bytes(&mut self) -> Option<Item> {
        self.rest = &self.rest[1..];
        self.take(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
        self.eat(b':').then_some(Item::Other)
    }

    fn boolean(&mut self) -> Option<Item> {
        self.rest = &self.rest[1..];
        let value = self.eat(b'1');
        (value || self.eat(b'0')).then_some(Item::Boolean(value))
    }

    /// RFC 9651 § 4.2.10: `%"`, visible ASCII with `%xx` in lower case, and a quote.
    fn display(&mut self) -> Option<Item> {
        self.rest = self.rest.strip_prefix(b"%\"")?;
        let mut bytes = Vec::new();
        loop {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            match byte {
                b'"' => return String::from_utf8(bytes).is_ok().then_some(Item::Other),
                b'%' => {
                    let digits = self.rest.get(..2)?;
                    self.rest = &self.rest[2..];
                    let is_digit = |digit: &u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
                    if !digits.iter().all(is_digit) {
                        return None;
                    }
                    bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
                }
                b' '..=b'~' => bytes.push(byte),
                _ => return None,
            }
        }
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte)
}

fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(lines: &[&str]) -> Option<Vec<(String, Item)>> {
        dictionary(lines.iter().map(|line| line.as_bytes()))
    }

    fn members(lines: &[&str], expected: &[(&str, Item)]) {
        let expected: Vec<_> = expected.iter().map(|(key, item)| ((*key).to_owned(), item.clone())).collect();
        assert_eq!(read(lines), Some(expected), "{lines:?}");
    }

    #[test]
    fn members_have_keys_and_typed_values() {
        members(&["a"], &[("a", Item::Boolean(true))]);
        members(&["a=?0, b=?1"], &[("a", Item::Boolean(false)), ("b", Item::Boolean(true))]);
        members(&["max-age=60 ,\tb=-5"], &[("max-age", Item::Integer(60)), ("b", Item::Integer(-5))]);
        members(&["a=\"x \\\" \\\\\""], &[("a", Item::String("x \" \\".to_owned()))]);
        members(&["a=Set-Cookie"], &[("a", Item::Token("Set-Cookie".to_owned()))]);
        for other in ["1.5", "(1 2)", "()", "(\"a\";b c)", ":aGk=:", "@1659578233", "%\"f%c3%bc\""] {
            members(&[&format!("a={other}")], &[("a", Item::Other)]);
        }
        members(&["a=999999999999999"], &[("a", Item::Integer(999_999_999_999_999))]);
    }

    #[test]
    fn a_dictionary_has_no_more_members_than_anybody_would_read() {
        let names: Vec<_> = (0..=limits::DICTIONARY_MEMBERS).map(|number| format!("a{number}")).collect();
        assert!(read(&[&names[1..].join(",")]).is_some());
        assert!(read(&[&names.join(",")]).is_none());
    }

    #[test]
    fn parameters_are_dropped() {
        members(&["a;x=1;y, b=2; z=\"q\";w=?0"], &[("a", Item::Boolean(true)), ("b", Item::Integer(2))]);
    }

    #[test]
    fn lines_are_one_list_and_the_last_of_repeated_keys_counts() {
        members(&["a=1", "b=2, a=3"], &[("a", Item::Integer(3)), ("b", Item::Integer(2))]);
    }

    #[test]
    fn one_fault_anywhere_makes_it_no_dictionary() {
        for text in [
            "A=1",
            "a=",
            "a=1,",
            ",a=1",
            "a=1,,b",
            "a = 1",
            "a=1 b=2",
            "a=1.",
            "a=.5",
            "a=1.2345",
            "a=1234567890123.5",
            "a=9999999999999999",
            "a=\"x",
            "a=\"\\n\"",
            "a=\"\u{7f}\"",
            "a=(1",
            "a=(1,2)",
            "a=?2",
            "a=?",
            "a=:x",
            "a=@1.5",
            "a=%\"%C3\"",
            "a=%\"%c3\"",
            "a=%\"",
            "a;X",
            "a;=1",
            "1=2",
            "max-age=60s junk",
            "a='60'",
        ] {
            assert_eq!(read(&[text]), None, "{text}");
        }
    }

    #[test]
    fn nothing_is_an_empty_dictionary() {
        assert_eq!(read(&[]), Some(Vec::new()));
        assert_eq!(read(&[""]), Some(Vec::new()));
        assert_eq!(read(&["  "]), Some(Vec::new()));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            dictionary([bytes.as_slice()].into_iter());
        }
    }
}
