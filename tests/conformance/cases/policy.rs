//! What a case writes as its policy, judged and translated by the operator's own code, as for a Distribution.

use std::collections::BTreeMap;

use proxima_edge_core::edge_config::EdgeConfig;

use proxima_operator::distribution::validate::{Gathered, Services, Settings, Source, validate};
use serde_json::{Value, json};

/// The configuration of an edge with this policy: every method is allowed, the origin is to be filled in.
pub(crate) fn configuration(policy: &Value, cached_methods: Option<&str>) -> Result<EdgeConfig, String> {
    let cache_policy = match policy {
        Value::String(name) => json!({"managed": name}),
        inline => json!({"inline": inline}),
    };
    let value = json!({
        "apiVersion": "proxima.dev/v1alpha1",
        "kind": "Distribution",
        "metadata": {"name": "site"},
        "spec": {
            "origins": [{"name": "site", "http": {"host": "origin.test", "protocolPolicy": "HttpOnly"}}],
            "defaultCacheBehavior": {
                "targetOrigin": "site",
                "allowedMethods": "Any",
                "cachedMethods": cached_methods.unwrap_or("GetHead"),
                "cachePolicy": cache_policy,
            },
        },
    });
    let settings = Settings {
        cluster_domain: "cluster.local".to_owned(),
        services: Services::Cluster(BTreeMap::new()),
        ca_bundles: BTreeMap::new(),
        addresses: Vec::new(),
    };
    let gathered = Gathered { source: Source::default(), value, text: String::new(), settings };
    let validated = validate(&gathered).map_err(|problems| {
        problems.iter().map(|problem| format!("{}: {}", problem.field, problem.message)).collect::<Vec<_>>().join("; ")
    })?;
    Ok(validated.config)
}
