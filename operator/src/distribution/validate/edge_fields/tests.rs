use serde_json::json;

use super::*;

fn check(field: &str, expected: &str) {
    let spec = json!({
        "origins": [
            {"name": "site", "http": {"host": "a", "protocolPolicy": "HttpOnly"}},
            {"name": "api", "service": {"name": "api", "port": 80}},
        ],
        "defaultCacheBehavior": {"targetOrigin": "site"},
    });
    let spec: DistributionSpec = serde_json::from_value(spec).unwrap();
    let problem = plan::Problem { field: field.to_owned(), message: "no".to_owned() };
    let fault = fault(&problem, &spec);
    assert_eq!((fault.field.as_str(), fault.message.as_str()), (expected, "no"), "{field}");
}

#[test]
fn fields_of_the_edge_lead_back_to_the_specification() {
    for (field, expected) in [
        ("cache.memory", "spec.edge.cache.memory"),
        ("distributions[0].name", "metadata.name"),
        ("distributions[0].serviceHosts[1]", "metadata.name"),
        ("distributions[0].aliases[2]", "spec.aliases[2]"),
        ("distributions[0].defaultRootObject", "spec.defaultRootObject"),
        ("distributions[0].origins", "spec.origins"),
        ("distributions[0].origins[0]", "spec.origins[0]"),
        ("distributions[0].origins[0].host", "spec.origins[0].http.host"),
        ("distributions[0].origins[0].tlsServerName", "spec.origins[0].http.tls.serverName"),
        ("distributions[0].origins[0].caBundle", "spec.origins[0].http.tls.caBundleRef"),
        ("distributions[0].origins[1].host", "spec.origins[1].service"),
        ("distributions[0].origins[1].connectTo", "spec.origins[1].service"),
        ("distributions[0].origins[1].path", "spec.origins[1].path"),
        ("distributions[0].origins[0].customHeaders[3].name", "spec.origins[0].customHeaders[3].name"),
        ("distributions[0].origins[0].responseTimeoutMs", "spec.origins[0].responseTimeout"),
        ("distributions[0].defaultBehavior.targetOrigin", "spec.defaultCacheBehavior.targetOrigin"),
        ("distributions[0].behaviors", "spec.cacheBehaviors"),
        ("distributions[0].behaviors[2].pathPattern", "spec.cacheBehaviors[2].pathPattern"),
        ("distributions[0].behaviors[2].cachePolicy.minTtlMs", "spec.cacheBehaviors[2].cachePolicy.inline.ttl.min"),
        (
            "distributions[0].defaultBehavior.cachePolicy.key.headers[0]",
            "spec.defaultCacheBehavior.cachePolicy.inline.key.headers[0]",
        ),
        ("distributions[0]", "spec"),
    ] {
        check(field, expected);
    }
}
