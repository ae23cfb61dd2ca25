//! What was expected against what came.

use proxima_edge_core::timestamp::Timestamp;
use proxima_tests::{Head, Response};

use crate::cases::message::{Expected, Field};

/// A value with `{now}`, `{now+60}` and `{now-60}` replaced by dates.
pub(crate) fn with_dates(value: &str, now: Timestamp) -> String {
    let mut text = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("{now") {
        let (offset, after) = after.split_once('}').unwrap_or_else(|| panic!("{value}: {{now is not closed"));
        let seconds: i64 =
            if offset.is_empty() { 0 } else { offset.parse().unwrap_or_else(|_| panic!("{value}: {offset}")) };
        let millis = i64::try_from(now.as_millis()).expect("cases are not about the far future") + seconds * 1_000;
        text += before;
        text += &Timestamp::from_millis(millis.unsigned_abs()).to_http_date();
        rest = after;
    }
    text + rest
}

pub(crate) fn compare_request(expected: &Expected, head: &Head, now: Timestamp) -> Result<(), String> {
    if let Some((method, target)) = &expected.start
        && (method != head.method() || target != head.target())
    {
        return Err(format!("the origin was asked {} {}, not {method} {target}", head.method(), head.target()));
    }
    compare_fields(expected, head, now).map_err(|why| format!("the origin was asked with {why}:\n{}", head.raw))
}

/// Interim responses, in order.
pub(crate) fn compare_hints(expected: &[Expected], heads: &[Head], now: Timestamp) -> Result<(), String> {
    let wanted: Vec<_> = expected.iter().filter_map(|hint| hint.status).collect();
    let came: Vec<_> = heads.iter().map(Head::status).collect();
    if wanted != came {
        return Err(format!("interim responses are {came:?}, not {wanted:?}"));
    }
    for (hint, head) in expected.iter().zip(heads) {
        compare_fields(hint, head, now).map_err(|why| format!("of an interim response {why}:\n{}", head.raw))?;
    }
    Ok(())
}

pub(crate) fn compare_response(expected: &Expected, response: &Response, now: Timestamp) -> Result<(), String> {
    let wrong = |why: String| Err(format!("{why}; the viewer got\n{}{}", response.head.raw, response.text()));
    if expected.status.is_some_and(|status| status != response.status()) {
        return wrong(format!("the status is {}", response.status()));
    }
    if let Some(word) = &expected.x_cache
        && response.x_cache() != format!("{word} from proxima")
    {
        return wrong(format!("X-Cache is {}, not {word}", response.x_cache()));
    }
    if let Err(why) = compare_fields(expected, &response.head, now) {
        return wrong(why);
    }
    match &expected.body {
        Some(body) if *body != response.text() => wrong(format!("the body is not {body:?}")),
        _ => Ok(()),
    }
}

fn compare_fields(expected: &Expected, head: &Head, now: Timestamp) -> Result<(), String> {
    for (name, field) in &expected.fields {
        let values: Vec<_> = head
            .fields
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect();
        let seen = (!values.is_empty()).then(|| values.join(", "));
        let holds = match (field, &seen) {
            (Field::Present, Some(_)) | (Field::Absent, None) => true,
            (Field::Equals(wanted), Some(seen)) => with_dates(wanted, now) == *seen,
            (Field::Contains(part), Some(seen)) => seen.contains(&with_dates(part, now)),
            (Field::Absent, Some(_)) | (Field::Present | Field::Equals(_) | Field::Contains(_), None) => false,
        };
        if !holds {
            let wanted = match field {
                Field::Present => "to be there".to_owned(),
                Field::Absent => "to be absent".to_owned(),
                Field::Equals(value) => format!("to be {}", with_dates(value, now)),
                Field::Contains(part) => format!("to have {}", with_dates(part, now)),
            };
            return Err(format!("{name} is {}, and was {wanted}", seen.as_deref().unwrap_or("absent")));
        }
    }
    Ok(())
}
