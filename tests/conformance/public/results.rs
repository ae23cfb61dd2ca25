//! Results on record, and their table.
//!
//! `results.txt` has one line for each test, `VERDICT KIND AREA ID`, below a table that is made from them. It is written
//! by `PROXIMA_UPDATE_RESULTS=1`, never by hand.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use super::catalogue::{Catalogue, Kind, SURROGATE};
use super::verdict::Verdict;

/// Verdict by id.
pub(crate) struct Results {
    verdicts: BTreeMap<String, Verdict>,
    kinds: BTreeMap<String, Kind>,
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("conformance/results.txt")
}

impl Results {
    pub(crate) fn new(catalogue: &Catalogue, verdicts: &BTreeMap<String, Verdict>) -> Self {
        let kinds = catalogue.0.iter().map(|test| (test.id.clone(), test.kind)).collect();
        Self { verdicts: verdicts.clone(), kinds }
    }

    /// What is on record; nothing where the file is not there yet.
    pub(crate) fn read(catalogue: &Catalogue) -> Self {
        let text = std::fs::read_to_string(file()).unwrap_or_default();
        let mut verdicts = BTreeMap::new();
        for line in text.lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            let verdict = Verdict::ALL.into_iter().find(|verdict| words.first() == Some(&verdict.as_str()));
            if let (Some(verdict), [_, _, _, id]) = (verdict, &words[..]) {
                verdicts.insert((*id).to_owned(), verdict);
            }
        }
        Self::new(catalogue, &verdicts)
    }

    /// A test that is not on record counts as failed, so that a new release starts with nothing to lose.
    pub(crate) fn verdict(&self, id: &str) -> Verdict {
        self.verdicts.get(id).copied().unwrap_or(Verdict::Fail)
    }

    pub(crate) fn set(&mut self, id: &str, verdict: Verdict) {
        self.verdicts.insert(id.to_owned(), verdict);
    }

    /// Ids of tests that passed there and do not pass here. For a check, which has no right answer, too: what the edge
    /// does there changed without anybody having said so.
    pub(crate) fn worse_than(&self, other: &Self) -> Vec<String> {
        let worse = |id: &&String| other.verdict(id) == Verdict::Pass && self.verdict(id) != Verdict::Pass;
        self.kinds.keys().filter(worse).cloned().collect()
    }

    /// Passed and counted, by area and kind.
    pub(crate) fn table(&self, catalogue: &Catalogue) -> String {
        let mut table = format!("{:<20}{:>12}{:>12}{:>14}\n", "area", "required", "optional", "checks (yes)");
        let areas = catalogue.areas();
        let tested = |area: &&&str| **area != SURROGATE;
        for area in areas.iter().filter(tested) {
            self.row(&mut table, catalogue, area, &|candidate| candidate == *area);
        }
        self.row(&mut table, catalogue, "all of these", &|area| area != SURROGATE);
        self.row(&mut table, catalogue, SURROGATE, &|area| area == SURROGATE);
        table
    }

    fn row(&self, table: &mut String, catalogue: &Catalogue, name: &str, counted: &dyn Fn(&str) -> bool) {
        let cell = |kind: Kind| {
            let tests: Vec<_> = catalogue.0.iter().filter(|test| counted(&test.area) && test.kind == kind).collect();
            let passed = tests.iter().filter(|test| self.verdict(&test.id) == Verdict::Pass).count();
            if tests.is_empty() { "-".to_owned() } else { format!("{passed} of {}", tests.len()) }
        };
        let [required, optional, checks] = [Kind::Required, Kind::Optimal, Kind::Check].map(cell);
        writeln!(table, "{name:<20}{required:>12}{optional:>12}{checks:>14}").expect("a text takes everything");
    }

    /// Writes the file anew.
    pub(crate) fn write(&self, catalogue: &Catalogue) {
        let mut text =
            "The public test suite for HTTP caches (http-cache-tests 0.4.5) against the edge: tests passed.\n\
                        Written by `PROXIMA_UPDATE_RESULTS=1 cargo test --workspace --test conformance public`.\n\n"
                .to_owned();
        text += &self.table(catalogue);
        text.push('\n');
        for test in &catalogue.0 {
            let kind = match test.kind {
                Kind::Required => "required",
                Kind::Optimal => "optional",
                Kind::Check => "check",
            };
            writeln!(text, "{:<11}{kind:<9} {:<18}{}", self.verdict(&test.id).as_str(), test.area, test.id)
                .expect("a text takes everything");
        }
        std::fs::write(file(), text).expect("the file can be written");
    }
}
