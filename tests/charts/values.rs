//! Values: every one explained, every one in the schema, and nothing accepted that is neither.

use serde_json::Value;

use crate::helm::{helm_refusal, read, yaml};

const CHARTS: [&str; 2] = ["proxima", "proxima-crds"];

fn schema(chart: &str) -> Value {
    serde_json::from_str(&read(&format!("charts/{chart}/values.schema.json"))).unwrap()
}

fn values(chart: &str) -> Value {
    yaml(&read(&format!("charts/{chart}/values.yaml")))
}

/// Keys of values without a comment in the line above.
fn without_comment(text: &str) -> Vec<&str> {
    let lines: Vec<_> = text.lines().collect();
    let is_key =
        |line: &str| line.trim_start().split(':').next().is_some_and(|key| line.contains(':') && !key.is_empty());
    let is_comment = |line: &str| line.trim_start().starts_with('#');
    let commented = |index: usize| index > 0 && is_comment(lines[index - 1]);
    let bare = lines.iter().enumerate().filter(|(index, line)| is_key(line) && !is_comment(line) && !commented(*index));
    bare.map(|(_, line)| *line).collect()
}

#[test]
fn every_value_is_explained() {
    for chart in CHARTS {
        assert_eq!(without_comment(&read(&format!("charts/{chart}/values.yaml"))), Vec::<&str>::new(), "{chart}");
    }
    assert_eq!(without_comment("# a\na: 1\nb:\n  # c\n  c: 1\n  d: {}\n"), ["b:", "  d: {}"]);
}

/// Where values and schema differ: keys that one has and the other has not, and schema without a description.
fn differences(values: &Value, schema: &Value, path: &str) -> Vec<String> {
    let mut differences = Vec::new();
    let Some(properties) = schema["properties"].as_object() else { return differences };
    if schema["additionalProperties"] != false {
        differences.push(format!("{path}: takes unknown keys"));
    }
    let members = values.as_object().unwrap_or_else(|| panic!("{path} is no map"));
    differences.extend(
        members
            .keys()
            .filter(|key| !properties.contains_key(*key))
            .map(|key| format!("{path}.{key}: not in the schema")),
    );
    for (key, property) in properties {
        let path = format!("{path}.{key}");
        if property["description"].as_str().is_none_or(str::is_empty) {
            differences.push(format!("{path}: no description"));
        }
        match members.get(key) {
            Some(value) => differences.extend(self::differences(value, property, &path)),
            // Helm puts this into the values of charts that are part of others.
            None if path == ".global" => {}
            None => differences.push(format!("{path}: not in the values")),
        }
    }
    differences
}

#[test]
fn values_and_schema_have_the_same_keys() {
    for chart in CHARTS {
        assert_eq!(differences(&values(chart), &schema(chart), ""), Vec::<String>::new(), "{chart}");
    }
}

/// Values that are the same in both, by path.
fn same(one: &Value, other: &Value, path: &str) -> Vec<String> {
    match (one.as_object().filter(|members| !members.is_empty()), other.as_object()) {
        (Some(one), Some(other)) => one
            .iter()
            .flat_map(|(key, value)| same(value, other.get(key).unwrap_or(value), &format!("{path}.{key}")))
            .collect(),
        _ if one == other => vec![path.to_owned()],
        _ => Vec::new(),
    }
}

#[test]
fn the_extreme_values_differ_from_the_default_in_everything() {
    let extreme = yaml(&read("tests/charts/extreme.yaml"));
    assert_eq!(same(&values("proxima"), &extreme, ""), Vec::<String>::new());
}

#[test]
fn wrong_values_are_refused_by_name() {
    for (value, named) in [
        ("imagge.tag=1", "'imagge'"),
        ("image.tags=1", "'tags'"),
        ("image.digest=sha256:abc", "/image/digest"),
        ("image.repository=Proxima Operator", "/image/repository"),
        ("image.pullPolicy=Sometimes", "/image/pullPolicy"),
        ("image.pullSecrets=registry", "/image/pullSecrets"),
        ("image.tag=null", "'tag'"),
        ("edge.accessLog=file", "/edge/accessLog"),
        ("edge.image.pullSecrets[0].name=registry", "/edge/image/pullSecrets/0"),
        ("clusterDomain=.local", "/clusterDomain"),
        ("zoneGrace=1d", "/zoneGrace"),
        ("zoneGrace=600", "/zoneGrace"),
        ("workers=0", "/workers"),
        ("workers=many", "/workers"),
        ("logging.format=xml", "/logging/format"),
        ("nodeSelector.disk=1", "/nodeSelector/disk"),
        ("tolerations.key=a", "/tolerations"),
        ("podLabels.app\\.kubernetes\\.io/name=mine", "/podLabels/app.kubernetes.io"),
        ("extraEnv[0].value=a", "/extraEnv/0"),
        ("serviceMonitor.enabled=yes", "/serviceMonitor/enabled"),
        ("rbac.aggregate=1", "/rbac/aggregate"),
        ("replicas=2", "'replicas'"),
    ] {
        let refusal = helm_refusal(&["template", "proxima", "proxima", "--set", value]);
        assert!(refusal.contains(named) && refusal.contains("schema"), "{value}: {refusal}");
    }
    let refusal = helm_refusal(&["template", "proxima", "proxima-crds", "--set", "keep=maybe"]);
    assert!(refusal.contains("/keep"), "{refusal}");
}
