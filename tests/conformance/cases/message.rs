//! Messages as cases write them: one line that says what it is, fields, an empty line, a body.

use super::raw::Mistake;

/// A message in parts.
struct Parts<'a> {
    first: &'a str,
    fields: Vec<&'a str>,
    body: Option<String>,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Self {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let (head, body) = match text.split_once("\n\n") {
            Some((head, body)) => (head, Some(body.to_owned())),
            None => (text.strip_suffix('\n').unwrap_or(text), text.ends_with('\n').then(String::new)),
        };
        let mut lines = head.lines();
        Self { first: lines.next().unwrap_or_default(), fields: lines.collect(), body }
    }

    fn fields(&self) -> Result<Vec<(String, String)>, Mistake> {
        self.fields.iter().map(|line| field(line)).collect()
    }
}

fn field(line: &str) -> Result<(String, String), Mistake> {
    let (name, value) = line.split_once(':').ok_or_else(|| Mistake::new(line, "not a field"))?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if !is_name {
        return Err(Mistake::new(line, "not a field: its name is none"));
    }
    Ok((name.to_owned(), value.trim().to_owned()))
}

/// What a viewer sends.
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Option<String>,
}

impl Request {
    pub(super) fn read(text: &str) -> Result<Self, Mistake> {
        let parts = Parts::of(text);
        let (method, target) = start_line(parts.first)?;
        Ok(Self { method, target, fields: parts.fields()?, body: parts.body })
    }
}

fn start_line(line: &str) -> Result<(String, String), Mistake> {
    let words = line.split_once(' ').filter(|(_, target)| target.starts_with('/') && !target.contains(' '));
    let (method, target) = words.ok_or_else(|| Mistake::new(line, "not METHOD /TARGET"))?;
    Ok((method.to_owned(), target.to_owned()))
}

/// What an origin does when it is asked.
pub(crate) enum OriginAnswer {
    /// It ends the connection.
    Disconnect,
    /// It resets the connection.
    Reset,
    /// It answers.
    Reply(OriginReply),
}

/// What an origin says.
pub(crate) struct OriginReply {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: String,
    pub(crate) framing: Framing,
}

/// What an origin says before its answer.
pub(crate) struct Interim {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
}

impl Interim {
    pub(super) fn read(text: &str) -> Result<Self, Mistake> {
        let parts = Parts::of(text);
        Ok(Self { status: interim_status(parts.first)?, fields: parts.fields()? })
    }
}

fn interim_status(line: &str) -> Result<u16, Mistake> {
    let status = status_of(line, line)?;
    if status < 200 { Ok(status) } else { Err(Mistake::new(line, "not the status of an interim response")) }
}

/// How the end of the origin's body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// By Content-Length.
    Length,
    /// By chunks.
    Chunked,
    /// By the end of the connection.
    Close,
    /// By Content-Length, and the connection ends before.
    Truncated,
}

impl OriginAnswer {
    pub(super) fn read(text: &str, number: usize) -> Result<Self, Mistake> {
        let parts = Parts::of(text);
        let mut words = parts.first.split(' ');
        let status = match words.next() {
            Some("disconnect") => return Ok(Self::Disconnect),
            Some("reset") => return Ok(Self::Reset),
            Some(status) => status_of(status, parts.first)?,
            None => return Err(Mistake::new(parts.first, "the origin says nothing")),
        };
        let framing = match words.next() {
            None => Framing::Length,
            Some("chunked") => Framing::Chunked,
            Some("close") => Framing::Close,
            Some("truncated") => Framing::Truncated,
            Some(_) => {
                let why = "what the origin does after the status is chunked, close, truncated or nothing";
                return Err(Mistake::new(parts.first, why));
            }
        };
        let body = parts.body.clone().unwrap_or_else(|| body_of(number));
        Ok(Self::Reply(OriginReply { status, fields: parts.fields()?, body, framing }))
    }
}

/// The body of the origin's answer in that exchange, where the case gives none.
fn body_of(number: usize) -> String {
    format!("step {number}")
}

fn status_of(word: &str, line: &str) -> Result<u16, Mistake> {
    let status = word.parse().ok().filter(|status| (100..=999).contains(status));
    status.ok_or_else(|| Mistake::new(line, "not a status"))
}

/// What a message must be.
pub(crate) struct Expected {
    /// Of a request: `METHOD TARGET`.
    pub(crate) start: Option<(String, String)>,
    /// Of a response.
    pub(crate) status: Option<u16>,
    /// The word in X-Cache.
    pub(crate) x_cache: Option<String>,
    pub(crate) fields: Vec<(String, Field)>,
    pub(crate) body: Option<String>,
}

/// What a field must be.
pub(crate) enum Field {
    Present,
    Absent,
    Equals(String),
    Contains(String),
}

/// Words of X-Cache.
const X_CACHE: [&str; 5] = ["Hit", "RefreshHit", "Miss", "Error", "Redirect"];

impl Expected {
    pub(super) fn of_request(text: &str) -> Result<Self, Mistake> {
        let parts = Parts::of(text);
        let start = Some(start_line(parts.first)?);
        Ok(Self { start, status: None, x_cache: None, fields: expected_fields(&parts)?, body: parts.body })
    }

    pub(super) fn of_interim(text: &str) -> Result<Self, Mistake> {
        let parts = Parts::of(text);
        let status = Some(interim_status(parts.first)?);
        Ok(Self { start: None, status, x_cache: None, fields: expected_fields(&parts)?, body: None })
    }

    pub(super) fn of_response(text: &str, number: usize) -> Result<Self, Mistake> {
        let parts = Parts::of(text);
        let words: Vec<_> = parts.first.split(' ').collect();
        let (status, words) = words.split_first().expect("a split has a first part");
        let status = status_of(status, parts.first)?;
        let (x_cache, words) = match words {
            [] | ["step", ..] => (None, words),
            [word, rest @ ..] if X_CACHE.contains(word) => (Some((*word).to_owned()), rest),
            _ => {
                return Err(Mistake::new(
                    parts.first,
                    format!("not a word of X-Cache; there are {}", X_CACHE.join(" ")),
                ));
            }
        };
        let mut body = parts.body.clone();
        match words {
            [] => {}
            ["step", step] => match step.parse::<usize>() {
                Ok(step) if (1..=number).contains(&step) => body = Some(body_of(step)),
                _ => return Err(Mistake::new(parts.first, format!("there is no exchange {step} yet"))),
            },
            _ => return Err(Mistake::new(parts.first, "not STATUS [WORD] [step N]")),
        }
        Ok(Self { start: None, status: Some(status), x_cache, fields: expected_fields(&parts)?, body })
    }
}

fn expected_fields(parts: &Parts<'_>) -> Result<Vec<(String, Field)>, Mistake> {
    let expected = |line: &&str| -> Result<(String, Field), Mistake> {
        if let Some(name) = line.strip_prefix('?') {
            return field(&format!("{name}:"))
                .map(|(name, _)| (name, Field::Present))
                .map_err(|_| Mistake::new(line, "not a field"));
        }
        if let Some(name) = line.strip_prefix('!') {
            return field(&format!("{name}:"))
                .map(|(name, _)| (name, Field::Absent))
                .map_err(|_| Mistake::new(line, "not a field"));
        }
        let (name, value) = field(line)?;
        Ok(match value.strip_prefix('~') {
            Some(part) => (name, Field::Contains(part.to_owned())),
            None => (name, Field::Equals(value)),
        })
    };
    parts.fields.iter().map(expected).collect()
}
