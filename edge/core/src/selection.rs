//! Which cookies and query parameters take part: the same bytes for the key and for the origin.

use std::borrow::Cow;

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use crate::edge_config::Selection;

impl Selection {
    /// Whether a member of this name takes part. Names are compared byte by byte, as they stand in the request.
    pub(crate) fn selects(&self, name: &str) -> bool {
        match self {
            Self::None => false,
            Self::Some(names) => names.iter().any(|selected| selected == name),
            Self::AllExcept(names) => !names.iter().any(|excluded| excluded == name),
            Self::All => true,
        }
    }
}

/// The selected part of a raw query: order and bytes as sent; absent when nothing is selected (CloudFront: "Cache
/// content based on query string parameters": `&` is the only delimiter).
pub(crate) fn query<'a>(selection: &Selection, query: Option<&'a str>) -> Option<Cow<'a, str>> {
    let query = query?;
    match selection {
        Selection::None => None,
        Selection::All => Some(Cow::Borrowed(query)),
        Selection::Some(_) | Selection::AllExcept(_) => {
            let selected = |parameter: &&str| selection.selects(parameter.split('=').next().unwrap_or_default());
            let kept: Vec<&str> = query.split('&').filter(selected).collect();
            if kept.len() == query.split('&').count() {
                return Some(Cow::Borrowed(query));
            }
            (!kept.is_empty()).then(|| Cow::Owned(kept.join("&")))
        }
    }
}

/// The selected cookies, sorted by name, as one Cookie field; absent when none is selected. Names that begin with `$`
/// are dropped, and a malformed field counts as none, as in CloudFront.
pub(crate) fn cookies(selection: &Selection, headers: &HeaderMap) -> Option<String> {
    if matches!(selection, Selection::None) {
        return None;
    }
    let mut kept: Vec<(&str, &str)> = pairs(headers.get(COOKIE)?)?;
    kept.retain(|(name, _)| !name.starts_with('$') && selection.selects(name));
    // Stable, so that cookies of one name keep their order.
    kept.sort_by_key(|&(name, _)| name);
    let joined: Vec<String> = kept.iter().map(|(name, value)| format!("{name}={value}")).collect();
    (!joined.is_empty()).then(|| joined.join("; "))
}

/// Whether every cookie of this field is selected, so that forwarding the whole field sends nothing that is not keyed.
pub(crate) fn selects_every_cookie(selection: &Selection, field: &HeaderValue) -> bool {
    if matches!(selection, Selection::None) {
        return false;
    }
    let selected = |(name, _): &(&str, &str)| !name.starts_with('$') && selection.selects(name);
    pairs(field).is_some_and(|pairs| pairs.iter().all(selected))
}

/// Names and values of a Cookie field; `None` when it is malformed: a pair without `=` or name, or not text.
fn pairs(field: &HeaderValue) -> Option<Vec<(&str, &str)>> {
    let split = |pair: &'_ str| -> Option<(usize, usize)> {
        let at = pair.find('=')?;
        (!pair[..at].trim().is_empty()).then_some((at, at + 1))
    };
    let text = std::str::from_utf8(field.as_bytes()).ok()?;
    let present = text.split(';').map(str::trim).filter(|pair| !pair.is_empty());
    present.map(|pair| split(pair).map(|(end, start)| (pair[..end].trim(), pair[start..].trim()))).collect()
}

#[cfg(test)]
mod tests;
