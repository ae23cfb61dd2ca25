//! The table of outcomes for readers, written from the code's own.

use std::fmt::Write;

use proxima_edge_core::outcome::{NotStored, Reason};

/// Where the table stands in a document.
const BEGIN: &str = "<!-- outcomes: written by a test -->\n";
const END: &str = "<!-- outcomes: end -->\n";

/// The two tables, as Markdown.
pub(crate) fn tables() -> String {
    let mut text = String::from(
        "| `reason` | `result_type` | `detailed_result_type` | `fwd` | Status | What it means |\n|---|---|---|---|---|---|\n",
    );
    for reason in Reason::ALL {
        let forward = reason.forward().map_or("", |forward| forward.as_str());
        let status = reason.status().as_u16();
        let status = if status == 200 { "the origin's".to_owned() } else { status.to_string() };
        let (name, result, detailed) = (reason.as_str(), reason.result_type().as_str(), reason.detailed_result_type());
        let meaning = reason.explanation().trim();
        writeln!(text, "| `{name}` | {result} | {detailed} | {forward} | {status} | {meaning} |").unwrap();
    }
    text.push_str("\n| `not_stored` | Why nothing was stored |\n|---|---|\n");
    for why in NotStored::ALL {
        writeln!(text, "| `{}` | {} |", why.as_str(), why.explanation().trim()).unwrap();
    }
    text
}

/// The document with the tables of today.
pub(crate) fn renewed(document: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{}{END}{after}", tables()))
}
