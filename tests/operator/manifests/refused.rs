//! Manifests that the API server itself refuses: its answer must name the field and say what would be right.

use std::collections::BTreeSet;

use futures::StreamExt;
use proxima_tests::ControlPlane;
use serde::Deserialize;

use super::schema;

/// A manifest, and what the answer to it says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    says: Vec<String>,
    manifest: String,
}

#[tokio::test]
async fn what_one_object_shows_to_be_wrong_is_refused_with_field_and_fix() {
    let plane = ControlPlane::shared().await;
    plane.apply_crds().await;
    let namespace = plane.namespace("refused").await;
    let cases = super::data("refused");
    assert!(cases.len() >= 40, "{} cases", cases.len());
    let answers = futures::stream::iter(&cases).map(async |(name, text)| {
        let case: Case = serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let ran = plane.kubectl_reading(&case.manifest, &["apply", "-n", &namespace, "-f", "-"]).await;
        // Quotation marks within texts are escaped where kubectl quotes an answer.
        (name, case.says, ran.status.success(), ran.stderr.replace("\\\"", "\""))
    });
    let answers: Vec<_> = answers.buffered(4).collect().await;
    let mut wrong = Vec::new();
    for (name, says, accepted, answer) in &answers {
        if *accepted {
            wrong.push(format!("{name} is accepted"));
        }
        let lacking = says.iter().filter(|text| !answer.contains(*text));
        wrong.extend(lacking.map(|text| format!("{name}: the answer lacks {text:?}:\n{answer}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let everything: String = answers.iter().map(|(_, _, _, answer)| answer.as_str()).collect();
    let untested: BTreeSet<_> = schema::rule_messages().into_iter().filter(|rule| !everything.contains(rule)).collect();
    assert!(untested.is_empty(), "no manifest breaks these rules: {untested:#?}");
    let left = plane.kubectl(&["get", "distributions", "-n", &namespace, "-o", "name"]).await.ok();
    assert_eq!(left, "");
}
