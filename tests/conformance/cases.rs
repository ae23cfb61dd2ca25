//! Cases: what viewers send, what the origin answers, and what must come of it, as data.
//!
//! A case is one file, `tests/cases/AREA/ID.yaml`:
//!
//! ```yaml
//! id: age-grows                          # the file's name
//! reference: RFC 9111 § 4.2.3            # or the title of a page of CloudFront's documentation
//! kind: required                         # or observed: what is done today where nothing demands it
//! about: Age is the time since the response was made, here and on the way
//! policy: OriginControlled               # a managed cache policy, or an inline one as in a Distribution
//! steps:
//!   - request: |                         # METHOD TARGET, fields, an empty line, a body
//!       GET /page
//!     origin: |                          # what it answers when asked; without it, it must not be asked
//!       200
//!       Cache-Control: max-age=60
//!     asked: |                           # what it must have been asked
//!       GET /page
//!       !Cookie
//!     viewer: |                          # STATUS, the word in X-Cache, whose body; expected fields
//!       200 Miss step 1
//!   - advance: 10s
//!   - request: GET /page
//!     viewer: |
//!       200 Hit step 1
//!       Age: 10
//! ```
//!
//! An expected field is `Name: value` (all its lines, joined by comma and space), `Name: ~part`, `?Name` (there),
//! `!Name` (not there). A body of the origin is `step N`, N being the number of the exchange, unless it is given. Instead
//! of a status the origin may say `disconnect` or `reset`; after the status, `chunked`, `close` or `truncated`. In
//! values, `{now}`, `{now+60}` and `{now-60}` stand for the date at that moment.
//!
//! `interim` is a list of interim responses that the origin sends before its answer, `hinted` the list of those that the
//! viewer must get before its own; the origin waits with its answer until they are there.
//!
//! The area `fills` is about what fills remember from one request to the next; it is for the running edge alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use proxima_edge_core::edge_config::EdgeConfig;

use message::{Expected, Interim, OriginAnswer, Request};

pub(crate) mod message;
pub(crate) mod policy;
mod raw;

/// One case, read and found to make sense.
pub(crate) struct Case {
    /// `AREA/ID`.
    pub(crate) name: String,
    pub(crate) area: String,
    pub(crate) id: String,
    pub(crate) kind: Kind,
    /// What the edge is told, but for the origin's address.
    pub(crate) config: EdgeConfig,
    pub(crate) steps: Vec<Step>,
}

/// What a case stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// The reference demands it.
    Required,
    /// Nothing demands it; it is what the edge does, so that a change is noticed.
    Observed,
}

/// What happens next.
pub(crate) enum Step {
    /// Time passes.
    Advance(Duration),
    /// A request is answered.
    Exchange(Box<Exchange>),
}

/// One request and all that is expected of it.
pub(crate) struct Exchange {
    /// From 1, counted without the steps in which time passes.
    pub(crate) number: usize,
    pub(crate) request: Request,
    /// What the origin answers; it must be asked exactly once. `None`: it must not be asked.
    pub(crate) origin: Option<OriginAnswer>,
    /// What it says before its answer.
    pub(crate) interim: Vec<Interim>,
    pub(crate) asked: Option<Expected>,
    /// Interim responses that the viewer must get, all of them; `None`: any.
    pub(crate) hinted: Option<Vec<Expected>>,
    pub(crate) viewer: Expected,
}

/// The folder of all cases.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")
}

/// Every case, in order of its path, or every mistake in their files.
pub(crate) fn all() -> Result<Vec<Case>, Vec<String>> {
    let (mut cases, mut mistakes) = (Vec::new(), Vec::new());
    for area in sorted(&folder()) {
        for file in sorted(&area) {
            let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            match raw::read(&file, &text) {
                Ok(case) => cases.push(case),
                Err(error) => {
                    let place = file.strip_prefix(folder()).unwrap_or(&file).display();
                    mistakes.push(format!("tests/cases/{place}: {error}"));
                }
            }
        }
    }
    if mistakes.is_empty() { Ok(cases) } else { Err(mistakes) }
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a folder can be read").path()).collect();
    paths.sort();
    paths
}

/// Fewest cases.
const ENOUGH: usize = 250;

#[test]
fn cases_are_many_and_each_has_an_id_of_its_own() {
    let cases = all().unwrap_or_else(|mistakes| panic!("{}", mistakes.join("\n")));
    let ids: BTreeSet<_> = cases.iter().map(|case| &case.id).collect();
    assert_eq!(ids.len(), cases.len(), "an id stands for one case");
    let mut areas: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    for case in &cases {
        areas.entry(&case.area).or_default()[usize::from(case.kind == Kind::Observed)] += 1;
    }
    eprintln!("{:<20}{:>10}{:>10}", "area", "required", "observed");
    for (area, [required, observed]) in &areas {
        eprintln!("{area:<20}{required:>10}{observed:>10}");
    }
    eprintln!("{:<20}{:>20}", "all", cases.len());
    assert!(cases.len() >= ENOUGH, "{} cases, {ENOUGH} wanted", cases.len());
}

#[test]
fn mistakes_in_a_case_are_named_with_their_line() {
    let good = "id: a\nreference: RFC 9111 § 1\nkind: required\nabout: nothing\npolicy: OriginControlled\nsteps:\n  \
                - request: GET /\n    origin: 200\n    viewer: 200\n";
    let file = Path::new("area/a.yaml");
    assert_eq!(raw::read(file, good).err(), None);
    for (from, to, mistake) in [
        ("about: nothing", "abuot: nothing", "unknown field `abuot`, expected"),
        ("    viewer: 200", "    wiever: 200", "unknown field `wiever`, expected"),
        ("id: a", "id: b", "line 1: the id is not the file's name"),
        ("RFC 9111 § 1", "somewhere", "line 2: the reference is neither"),
        ("policy: OriginControlled", "policy: OriginControled", "OriginControled"),
        ("policy: OriginControlled", "policy: {ttl: {mim: 1s}}", "mim"),
        ("origin: 200", "origin: |\n      200\n      Cache-Control max-age=1", "line 10: not a field"),
        ("origin: 200", "origin: 200 chunkd", "line 8: what the origin does after the status"),
        ("viewer: 200", "viewer: 200 Hitt", "line 9: not a word of X-Cache"),
        ("viewer: 200", "viewer: 200 Hit step 2", "line 9: there is no exchange 2"),
        ("viewer: 200", "viewer: 200\n    interim: [103]", "line 10: what the viewer gets of interim responses"),
        ("viewer: 200", "viewer: 200\n    interim: [200]\n    hinted: []", "not the status of an interim response"),
        ("viewer: 200", "viewer: 200\n    hinted: [200]", "not the status of an interim response"),
    ] {
        let error = raw::read(file, &good.replace(from, to)).err().unwrap_or_default();
        assert!(error.contains(mistake), "{to}: {error}");
        assert!(error.contains("line "), "{to}: {error}");
    }
}
