//! CloudFront's path patterns.

use std::borrow::Cow;

use crate::limits;

/// A parsed path pattern: `*` is any run of characters, `/` included; `?` is exactly one; case matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    text: String,
    matcher: Matcher,
}

/// What a pattern comes down to, so that the common forms cost one comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Matcher {
    /// No wildcard.
    Exact(Vec<u8>),
    /// One `*`, at the end.
    Prefix(Vec<u8>),
    /// One `*`, somewhere: what is before and what is after it.
    Around(Vec<u8>, Vec<u8>),
    /// Anything else.
    Glob(Vec<u8>),
}

impl PathPattern {
    /// Parses a pattern. A leading `/` is optional. The error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a path pattern has at least one character".to_owned());
        }
        if text.len() > limits::PATH_PATTERN_BYTES {
            return Err(format!("a path pattern has at most {} bytes", limits::PATH_PATTERN_BYTES));
        }
        if let Some(bad) = text.chars().find(|&character| !is_pattern_character(character)) {
            return Err(format!(
                "{bad:?} is not allowed in a path pattern; allowed are letters, digits and _ - . * $ / ~ \" ' @ : + & ?"
            ));
        }
        Ok(Self { text: text.to_owned(), matcher: Matcher::new(&canonical(text)) })
    }

    /// As written in the configuration.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a raw request path matches. The path is compared with unreserved characters decoded and `//` collapsed;
    /// `%2f` stays what it is. Linear in the product of both lengths at worst.
    pub fn matches(&self, path: &str) -> bool {
        self.matches_normalised(&normalise(path))
    }

    /// The same for a path that is already normalised, so that many patterns share the work.
    pub(crate) fn matches_normalised(&self, path: &[u8]) -> bool {
        match &self.matcher {
            Matcher::Exact(literal) => path == literal,
            Matcher::Prefix(literal) => path.starts_with(literal),
            Matcher::Around(before, after) => {
                path.len() >= before.len() + after.len() && path.starts_with(before) && path.ends_with(after)
            }
            Matcher::Glob(glob) => glob_matches(glob, path),
        }
    }

    /// Whether both match the same paths because they are the same pattern, written differently.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.matcher == other.matcher
    }
}

impl Matcher {
    fn new(pattern: &str) -> Self {
        let stars = pattern.matches('*').count();
        if pattern.contains('?') || stars > 1 {
            return Self::Glob(pattern.as_bytes().to_vec());
        }
        match pattern.split_once('*') {
            None => Self::Exact(pattern.as_bytes().to_vec()),
            Some((before, "")) => Self::Prefix(before.as_bytes().to_vec()),
            Some((before, after)) => Self::Around(before.as_bytes().to_vec(), after.as_bytes().to_vec()),
        }
    }
}

/// CloudFront's alphabet ("Path pattern" in "Cache behavior settings").
fn is_pattern_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || "_-.*$/~\"'@:+&?".contains(character)
}

/// With exactly one leading slash, without empty segments (the paths that it meets have none), and with runs of `*`
/// collapsed, which mean the same as one.
fn canonical(text: &str) -> String {
    let mut canonical = String::with_capacity(text.len() + 1);
    canonical.push('/');
    for character in text.chars() {
        if !(matches!(character, '/' | '*') && canonical.ends_with(character)) {
            canonical.push(character);
        }
    }
    canonical
}

/// The form of a raw path that patterns are compared with. Only unreserved characters are decoded: they mean the same
/// either way (RFC 3986 § 6.2.2.2); a decoded `%2f` or `%3f` would not.
pub(crate) fn normalise(path: &str) -> Cow<'_, [u8]> {
    let bytes = path.as_bytes();
    if !bytes.contains(&b'%') && !bytes.windows(2).any(|pair| pair == b"//") {
        return Cow::Borrowed(bytes);
    }
    let mut normal = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, tail)) = rest.split_first() {
        let decoded = if byte == b'%' { decode(tail).filter(|&byte| is_unreserved(byte)) } else { None };
        match decoded {
            Some(decoded) => {
                normal.push(decoded);
                rest = &tail[2..];
            }
            None => {
                if !(byte == b'/' && normal.last() == Some(&b'/')) {
                    normal.push(byte);
                }
                rest = tail;
            }
        }
    }
    Cow::Owned(normal)
}

/// The byte that the two hexadecimal digits after a `%` stand for.
pub(crate) fn decode(after_percent: &[u8]) -> Option<u8> {
    let digit = |index: usize| after_percent.get(index).and_then(|&byte| char::from(byte).to_digit(16));
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Goes back only to the last `*`: an earlier one can never do better, since the last one already matches any run. So
/// the time is bounded by the product of both lengths.
fn glob_matches(glob: &[u8], path: &[u8]) -> bool {
    let (mut at_glob, mut at_path) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while at_path < path.len() {
        match glob.get(at_glob) {
            Some(b'*') => {
                at_glob += 1;
                retry = Some((at_glob, at_path));
            }
            Some(&wanted) if wanted == b'?' || wanted == path[at_path] => {
                at_glob += 1;
                at_path += 1;
            }
            _ => match retry {
                Some((after_star, from)) => {
                    retry = Some((after_star, from + 1));
                    at_glob = after_star;
                    at_path = from + 1;
                }
                None => return false,
            },
        }
    }
    glob[at_glob..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests;
