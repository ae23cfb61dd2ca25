//! What the edge's compiler refuses, in the words of the specification.

use proxima_crds::{conditions::Reason, v1alpha1::DistributionSpec};
use proxima_edge_core::plan;

use crate::distribution::schema::Fault;

/// A problem of the compiled configuration as a fault of the field that it came from.
pub(super) fn fault(problem: &plan::Problem, spec: &DistributionSpec) -> Fault {
    Fault::new(Reason::NotServable, spec_field(&problem.field, spec), problem.message.clone())
}

/// Field of the specification that a field of the edge's configuration came from; the nearest one around it when that
/// is all there is to say.
fn spec_field(field: &str, spec: &DistributionSpec) -> String {
    if field == "cache" || field.starts_with("cache.") {
        return "spec.edge.cache.memory".to_owned();
    }
    let inside = field.strip_prefix("distributions[0]").map_or(field, |rest| rest.trim_start_matches('.'));
    let (head, rest) = inside.split_at(inside.find('.').unwrap_or(inside.len()));
    let (list, index) = head.split_once('[').map_or((head, None), |(list, index)| {
        (list, index.strip_suffix(']').and_then(|index| index.parse::<usize>().ok()))
    });
    match (list, index) {
        ("name" | "uid" | "serviceHosts", _) => "metadata.name".to_owned(),
        ("defaultBehavior", _) => format!("spec.defaultCacheBehavior{}", behavior_rest(rest)),
        ("behaviors", Some(index)) => format!("spec.cacheBehaviors[{index}]{}", behavior_rest(rest)),
        ("behaviors", None) => "spec.cacheBehaviors".to_owned(),
        ("origins", Some(index)) => format!("spec.origins[{index}]{}", origin_rest(rest, spec, index)),
        ("", _) => "spec".to_owned(),
        _ => format!("spec.{inside}"),
    }
}

fn behavior_rest(rest: &str) -> String {
    let Some(policy) = rest.strip_prefix(".cachePolicy.") else { return rest.to_owned() };
    let inline = match policy {
        "minTtlMs" => "ttl.min",
        "defaultTtlMs" => "ttl.default",
        "maxTtlMs" => "ttl.max",
        "originControlled" | "forward" | "name" => "basedOn",
        other => other,
    };
    format!(".cachePolicy.inline.{inline}")
}

fn origin_rest(rest: &str, spec: &DistributionSpec, index: usize) -> String {
    let of_service = spec.origins.get(index).is_some_and(|origin| origin.service.is_some());
    let arm = |field: &str| if of_service { ".service".to_owned() } else { format!(".http.{field}") };
    match rest.trim_start_matches('.') {
        "host" => arm("host"),
        "connectTo" => arm("host"),
        "protocolPolicy" => arm("protocolPolicy"),
        "httpPort" => arm("httpPort"),
        "httpsPort" => arm("httpsPort"),
        "tlsServerName" => arm("tls.serverName"),
        "caBundle" => arm("tls.caBundleRef"),
        "connectionTimeoutMs" => ".connectionTimeout".to_owned(),
        "responseTimeoutMs" => ".responseTimeout".to_owned(),
        "keepAliveTimeoutMs" => ".keepAliveTimeout".to_owned(),
        _ => rest.to_owned(),
    }
}

#[cfg(test)]
mod tests;
