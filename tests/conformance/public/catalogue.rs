//! What the suite consists of.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

/// Every test of the suite that is not for browsers alone, in the suite's order.
pub(crate) struct Catalogue(pub(crate) Vec<Test>);

/// One test.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Test {
    /// Group in the suite's own report.
    pub(crate) area: String,
    pub(crate) id: String,
    pub(crate) kind: Kind,
    browser_only: bool,
    /// Tests without which the answer to this one means nothing.
    pub(crate) depends_on: Vec<String>,
}

/// What an answer says of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// The standard demands it.
    Required,
    /// A good cache does it.
    Optimal,
    /// A question: neither answer is wrong.
    Check,
}

/// Surrogate-Control is not of the standards that an edge follows; its tests are counted apart.
pub(crate) const SURROGATE: &str = "surrogate-control";

impl Catalogue {
    /// Asks the installed suite.
    pub(crate) fn load() -> Self {
        let output = Command::new("node").arg(here().join("catalogue.mjs")).arg(installed()).output();
        let output = output.expect("node runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let tests: Vec<Test> = serde_json::from_slice(&output.stdout).expect("the catalogue is JSON");
        assert!(tests.len() > 300, "the suite has {} tests only", tests.len());
        Self(tests.into_iter().filter(|test| !test.browser_only).collect())
    }

    pub(crate) fn test(&self, id: &str) -> Option<&Test> {
        self.0.iter().find(|test| test.id == id)
    }

    /// Names of the areas, in the suite's order.
    pub(crate) fn areas(&self) -> Vec<&str> {
        let mut areas: Vec<&str> = self.0.iter().map(|test| test.area.as_str()).collect();
        areas.dedup();
        areas
    }
}

/// The folder with the lock file and our own scripts.
pub(crate) fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/npm")
}

/// The folder into which the suite is installed; installs it when it is not there.
pub(crate) fn installed() -> PathBuf {
    let output = Command::new(here().join("install")).output().expect("the installer runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    PathBuf::from(String::from_utf8(output.stdout).expect("a path is UTF-8").trim_end())
}
