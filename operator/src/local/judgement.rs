//! Validation of a whole manifest: every Distribution is judged by itself, and nothing wrong stops before all of it is
//! known. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::distribution::gather::{Gathering, Located, ObjectName};
use crate::distribution::validate::{Source, Validated, validate};

/// What the manifest says, as far as it is right.
#[derive(Debug, Default)]
pub struct Judged {
    /// Distributions without a problem.
    pub valid: BTreeMap<ObjectName, Accepted>,
    /// Everything that is wrong.
    pub problems: Vec<Located>,
}

/// A Distribution without a problem.
#[derive(Debug)]
pub struct Accepted {
    /// File that describes it.
    pub file: String,
    /// The document, to tell a change from none.
    pub value: Value,
    /// What later stages need.
    pub validated: Validated,
}

/// Judges everything that was gathered.
pub fn judge(gathering: Gathering) -> Judged {
    let mut judged = Judged { problems: gathering.problems, valid: BTreeMap::new() };
    for (object, gathered) in gathering.distributions {
        // Described twice: neither is taken, since nobody can know which one was meant.
        if judged.problems.iter().any(|problem| problem.object.as_ref() == Some(&object)) {
            continue;
        }
        let verdict = validate(&gathered);
        let Source { file, line, .. } = gathered.source;
        match verdict {
            Ok(validated) => {
                judged.valid.insert(object, Accepted { file, value: gathered.value, validated });
            }
            Err(problems) => judged.problems.extend(problems.into_iter().map(|problem| Located {
                object: Some(object.clone()),
                file: file.clone(),
                line,
                problem,
            })),
        }
    }
    judged
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::distribution::gather::{LocalServices, gather};

    const GOOD: &str = "
apiVersion: proxima.dev/v1alpha1
kind: Distribution
metadata: {name: NAME}
spec:
  origins: [{name: site, http: {host: site.example, protocolPolicy: HttpOnly}}]
  defaultCacheBehavior: {targetOrigin: site}
";

    fn judged(text: &str) -> Judged {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("m.yaml");
        fs::write(&file, text).unwrap();
        judge(gather(&[file], &LocalServices::default()))
    }

    fn names(judged: &Judged) -> Vec<String> {
        judged.valid.keys().map(ObjectName::to_string).collect()
    }

    #[test]
    fn a_wrong_distribution_does_not_hide_a_right_one() {
        let (good, wrong) = (GOOD.replace("NAME", "good"), GOOD.replace("NAME", "wrong"));
        let wrong = wrong.replace("targetOrigin: site", "targetOrigin: nowhere");
        let judged = judged(&format!("{good}---{wrong}"));
        assert_eq!(names(&judged), ["default/good"], "{:?}", judged.problems);
        let object = judged.problems[0].object.as_ref().map(ObjectName::to_string);
        assert_eq!(object.as_deref(), Some("default/wrong"));
        assert!(judged.problems[0].to_string().contains("nowhere"), "{}", judged.problems[0]);
    }

    #[test]
    fn what_is_described_twice_is_not_taken_at_all() {
        let judged = judged(&format!("{}---{}", GOOD.replace("NAME", "shop"), GOOD.replace("NAME", "shop")));
        assert_eq!(names(&judged), Vec::<String>::new());
        assert_eq!(judged.problems.len(), 1);
    }
}
