//! The files of cases: YAML in, [`Case`] or the mistake with its line out.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::message::{Expected, Interim, OriginAnswer, Request};
use super::{Case, Exchange, Kind, Step, policy};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawCase {
    id: String,
    reference: String,
    kind: Kind,
    about: String,
    policy: serde_json::Value,
    #[serde(default)]
    cached_methods: Option<String>,
    steps: Vec<RawStep>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStep {
    advance: Option<String>,
    request: Option<String>,
    #[serde(default, deserialize_with = "text")]
    origin: Option<String>,
    #[serde(default)]
    interim: Vec<Scalar>,
    asked: Option<String>,
    hinted: Option<Vec<Scalar>>,
    #[serde(default, deserialize_with = "text")]
    viewer: Option<String>,
}

/// A text, also where YAML reads a number: a status alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Number(u16),
    Text(String),
}

impl Scalar {
    fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

fn text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<Scalar>::deserialize(deserializer)?.map(|scalar| scalar.text()))
}

/// Reads the text of a file at `AREA/ID.yaml`.
pub(super) fn read(file: &Path, text: &str) -> Result<Case, String> {
    let raw: RawCase = serde_yaml::from_str(text).map_err(|error| with_line(text, &error))?;
    let at = |part: &str, why: &str| format!("line {}: {why}", line_of(text, part));
    if file.file_name().and_then(|name| name.to_str()) != Some(&format!("{}.yaml", raw.id)) {
        return Err(at("id:", "the id is not the file's name"));
    }
    if !is_reference(&raw.reference) {
        return Err(at("reference:", "the reference is neither a section of an RFC nor a page of CloudFront's"));
    }
    if raw.about.is_empty() || raw.steps.is_empty() {
        return Err(at("about:", "a case is about something, and has steps"));
    }
    let config = policy::configuration(&raw.policy, raw.cached_methods.as_deref())
        .map_err(|faults| at("policy:", &format!("not a policy: {faults}")))?;
    let area = file.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let mut steps = Vec::new();
    let mut exchanges = 0;
    for step in &raw.steps {
        let step = read_step(step, exchanges + 1).map_err(|mistake| at(&mistake.line, &mistake.why))?;
        exchanges += usize::from(matches!(step, Step::Exchange(_)));
        steps.push(step);
    }
    Ok(Case { name: format!("{area}/{}", raw.id), area, id: raw.id, kind: raw.kind, config, steps })
}

/// A mistake in a message, and the line that has it.
pub(super) struct Mistake {
    pub(super) line: String,
    pub(super) why: String,
}

impl Mistake {
    pub(super) fn new(line: &str, why: impl Into<String>) -> Self {
        Self { line: line.to_owned(), why: why.into() }
    }
}

fn read_step(raw: &RawStep, number: usize) -> Result<Step, Mistake> {
    if let Some(time) = &raw.advance {
        let more = [&raw.request, &raw.origin, &raw.asked, &raw.viewer].iter().any(|part| part.is_some());
        if more || !raw.interim.is_empty() || raw.hinted.is_some() {
            return Err(Mistake::new(time, "time passes in a step of its own"));
        }
        return duration(time).map(Step::Advance).ok_or_else(|| Mistake::new(time, "not a duration such as 90s or 2h"));
    }
    let (Some(request), Some(viewer)) = (&raw.request, &raw.viewer) else {
        return Err(Mistake::new("request:", "a step has a request and what the viewer gets, or advance"));
    };
    if raw.asked.is_some() && raw.origin.is_none() {
        return Err(Mistake::new("asked:", "the origin is asked only where it has an answer"));
    }
    if !raw.interim.is_empty() && (raw.origin.is_none() || raw.hinted.is_none()) {
        return Err(Mistake::new("interim:", "what the viewer gets of interim responses before an answer is said"));
    }
    let hinted = raw.hinted.as_ref().map(|all| all.iter().map(|one| Expected::of_interim(&one.text())).collect());
    Ok(Step::Exchange(Box::new(Exchange {
        number,
        request: Request::read(request)?,
        origin: raw.origin.as_deref().map(|text| OriginAnswer::read(text, number)).transpose()?,
        interim: raw.interim.iter().map(|one| Interim::read(&one.text())).collect::<Result<_, _>>()?,
        hinted: hinted.transpose()?,
        asked: raw.asked.as_deref().map(Expected::of_request).transpose()?,
        viewer: Expected::of_response(viewer, number)?,
    })))
}

/// `90s`, `5m`, `2h` or `1d`.
fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    number.parse::<u64>().ok().map(|number| Duration::from_secs(number * seconds))
}

/// `RFC 9111 § 4.2` or `CloudFront: Title of the page`.
fn is_reference(text: &str) -> bool {
    let rfc = text.strip_prefix("RFC ").and_then(|rest| rest.split_once(" § "));
    let rfc = rfc.is_some_and(|(number, section)| number.parse::<u16>().is_ok() && !section.is_empty());
    rfc || text.strip_prefix("CloudFront: ").is_some_and(|title| title.len() > 10)
}

/// A mistake in YAML. The position of an unknown field in a list of steps is that of the list, so the field is looked up.
fn with_line(text: &str, error: &serde_yaml::Error) -> String {
    let message = error.to_string();
    match message.split_once("unknown field `").and_then(|(_, rest)| rest.split_once('`')) {
        Some((field, _)) => format!("line {}: {message}", line_of(text, &format!("{field}:"))),
        None => format!("line {}: {message}", error.location().map_or(1, |place| place.line())),
    }
}

/// The first line with this text, from 1.
fn line_of(text: &str, part: &str) -> usize {
    text.lines().position(|line| line.contains(part)).map_or(1, |index| index + 1)
}
