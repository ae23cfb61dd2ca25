//! What the suite's client reports, by the suite's own rules.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::catalogue::Catalogue;

/// What became of one test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// Passed; of a check: yes.
    Pass,
    /// Did not come about: a step before the one in question went otherwise than the test needs.
    Setup,
    /// Means nothing, since a test that it depends on did not pass.
    Dependency,
    /// Failed; of a check: no.
    Fail,
}

impl Verdict {
    pub(crate) const ALL: [Self; 4] = [Self::Pass, Self::Setup, Self::Dependency, Self::Fail];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Setup => "setup",
            Self::Dependency => "dependency",
            Self::Fail => "fail",
        }
    }

    /// What the client prints about a test that ran alone: a symbol on its last line.
    pub(crate) fn of_one(lines: &[String]) -> Self {
        let last = lines.iter().rev().find(|line| !line.trim().is_empty()).map_or("", String::as_str);
        match last.split(' ').next() {
            Some("✅" | "Y") => Self::Pass,
            Some("🔹" | "↻") => Self::Setup,
            _ => Self::Fail,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Verdicts by id. The report is an object: id to `true`, or to the kind of error and its message.
pub(crate) fn judge(catalogue: &Catalogue, report: &str) -> BTreeMap<String, Verdict> {
    let report: BTreeMap<String, Value> =
        serde_json::from_str(report).unwrap_or_else(|error| panic!("no report: {error}\n{report}"));
    let own = |id: &str| match report.get(id) {
        Some(Value::Bool(true)) => Verdict::Pass,
        Some(Value::Array(error)) if error.first().is_some_and(|kind| kind == "Setup") => Verdict::Setup,
        Some(_) => Verdict::Fail,
        None => panic!("the client does not say what became of {id}"),
    };
    let mut verdicts = BTreeMap::new();
    for test in &catalogue.0 {
        let verdict = if depends_on_failed(catalogue, &own, &test.id) { Verdict::Dependency } else { own(&test.id) };
        verdicts.insert(test.id.clone(), verdict);
    }
    verdicts
}

/// Whether a test that this one depends on, directly or not, has not passed.
fn depends_on_failed(catalogue: &Catalogue, own: &dyn Fn(&str) -> Verdict, id: &str) -> bool {
    let Some(test) = catalogue.test(id) else { return false };
    test.depends_on.iter().any(|needed| own(needed) != Verdict::Pass || depends_on_failed(catalogue, own, needed))
}

/// What the client says about a test that did not pass.
pub(crate) fn message(report: &str, id: &str) -> String {
    let report: Value = serde_json::from_str(report).unwrap_or_default();
    report[id][1].as_str().unwrap_or("no message").to_owned()
}
