//! What one field says about another, and what the object says about Services and ConfigMaps.

use std::collections::{BTreeMap, BTreeSet};

use proxima_crds::{
    conditions::Reason,
    v1alpha1::{CustomHeader, DistributionSpec, ServiceOrigin},
};

use super::{ServiceFacts, ServiceName, Services, Settings, ca_bundle};
use crate::distribution::{
    schema::{Fault, nearest},
    translate::Identity,
};

/// Every broken reference.
pub(super) fn check(spec: &DistributionSpec, who: &Identity, settings: &Settings) -> Vec<Fault> {
    let mut faults = Vec::new();
    namespace(who, &mut faults);
    target_origins(spec, &mut faults);
    path_patterns(spec, &mut faults);
    for (index, origin) in spec.origins.iter().enumerate() {
        header_names(&origin.custom_headers, index, &mut faults);
        let field = format!("spec.origins[{index}]");
        if let Some(service) = &origin.service {
            faults.extend(self::service(service, &format!("{field}.service"), who, settings));
        }
        let tls = origin.http.as_ref().and_then(|http| http.tls.as_ref());
        if let Some(reference) = tls.and_then(|tls| tls.ca_bundle_ref.as_ref()) {
            let field = format!("{field}.http.tls.caBundleRef");
            faults.extend(ca_bundle::check(reference, &field, who, settings));
        }
    }
    faults
}

/// A namespace becomes part of host names. The API server has judged its own; a manifest may name any.
fn namespace(who: &Identity, faults: &mut Vec<Fault>) {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let name = who.namespace.as_bytes();
    if !name.iter().copied().all(inner) || name.starts_with(b"-") || name.ends_with(b"-") {
        let message = "use lower case letters, digits and '-', and begin and end with a letter or digit";
        faults.push(Fault::new(Reason::InvalidValue, "metadata.namespace", message));
    }
}

fn target_origins(spec: &DistributionSpec, faults: &mut Vec<Fault>) {
    let names: Vec<&str> = spec.origins.iter().map(|origin| origin.name.as_str()).collect();
    let behaviors = spec.cache_behaviors.iter().enumerate();
    let targets = std::iter::once(("spec.defaultCacheBehavior".to_owned(), &spec.default_cache_behavior.target_origin))
        .chain(
            behaviors.map(|(index, entry)| (format!("spec.cacheBehaviors[{index}]"), &entry.behavior.target_origin)),
        );
    for (field, target) in targets {
        if names.contains(&target.as_str()) {
            continue;
        }
        let hint = match nearest(target.as_str(), &names) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("spec.origins has {}", names.join(", ")),
        };
        let message = format!("there is no origin named {:?}; {hint}", target.as_str());
        faults.push(Fault::new(Reason::OriginNotFound, format!("{field}.targetOrigin"), message));
    }
}

/// The first of two equal patterns always wins. A leading slash makes no difference.
fn path_patterns(spec: &DistributionSpec, faults: &mut Vec<Fault>) {
    let mut seen = BTreeMap::new();
    for (index, behavior) in spec.cache_behaviors.iter().enumerate() {
        let pattern = behavior.path_pattern.as_str();
        let bare = pattern.strip_prefix('/').unwrap_or(pattern);
        if let Some(first) = seen.get(bare) {
            let message =
                format!("matches the same paths as spec.cacheBehaviors[{first}], which always wins; remove one");
            let field = format!("spec.cacheBehaviors[{index}].pathPattern");
            faults.push(Fault::new(Reason::DuplicateItem, field, message));
        } else {
            seen.insert(bare, index);
        }
    }
}

/// Header names are compared without regard to case, list keys are not. As a CEL rule this is over the API server's
/// budget.
fn header_names(headers: &[CustomHeader], origin: usize, faults: &mut Vec<Fault>) {
    let mut seen = BTreeSet::new();
    for (index, header) in headers.iter().enumerate() {
        if !seen.insert(header.name.as_str().to_ascii_lowercase()) {
            let message = format!("{} is there twice (case does not matter); remove one", header.name);
            let field = format!("spec.origins[{origin}].customHeaders[{index}].name");
            faults.push(Fault::new(Reason::DuplicateItem, field, message));
        }
    }
}

/// What is wrong with a reference to a Service.
fn service(service: &ServiceOrigin, field: &str, who: &Identity, settings: &Settings) -> Option<Fault> {
    let name = ServiceName { namespace: who.namespace.clone(), name: service.name.to_string() };
    match &settings.services {
        Services::Local(addresses) if addresses.contains_key(&name) => None,
        Services::Local(_) => {
            let message = format!(
                "there is no cluster in which to find Service {}/{}; say where it is with --origin {}=URL, or serve a \
                 folder as it with --serve DIR={}",
                name.namespace, name.name, name.name, name.name
            );
            Some(Fault::new(Reason::ServiceNotMapped, field, message))
        }
        Services::Cluster(found) => match found.get(&name) {
            Some(facts) => service_port(service.port, facts, &format!("{field}.port"), &name),
            None => {
                let message = format!(
                    "there is no Service {}/{}; create it, or correct the name; a Service of another namespace is an \
                     http origin with the host NAME.NAMESPACE.svc.{}",
                    name.namespace, name.name, settings.cluster_domain
                );
                Some(Fault::new(Reason::ServiceNotFound, format!("{field}.name"), message))
            }
        },
    }
}

fn service_port(port: u16, facts: &ServiceFacts, field: &str, name: &ServiceName) -> Option<Fault> {
    // What an ExternalName stands for has whatever ports it has.
    if facts.external_name || facts.ports.contains(&port) {
        return None;
    }
    let there = match facts.ports.as_slice() {
        [] => "it has none".to_owned(),
        ports => format!("use {}", ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")),
    };
    let message = format!("Service {}/{} has no TCP port {port}; {there}", name.namespace, name.name);
    Some(Fault::new(Reason::ServicePortNotFound, field, message))
}
