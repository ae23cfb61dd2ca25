//! Proves a configuration, field by field, and keeps all that is wrong with it.

mod origin;
mod policy;

use std::collections::HashSet;
use std::sync::Arc;

use super::hosts::Hosts;
use super::{Behavior, Distribution, Origin, Plan, Problem};
use crate::edge_config::{AllowedMethods, BehaviorConfig, CachedMethods, DistributionConfig, EdgeConfig, FEATURES};
use crate::limits;
use crate::path_pattern::PathPattern;
use crate::request::{host_name, path_problem};

/// What is wrong so far.
#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem { field: field.into(), message: message.into() });
    }

    fn at_most(&mut self, field: &str, length: usize, limit: usize) {
        if length > limit {
            self.add(field, format!("has {length} members, at most {limit} are possible"));
        }
    }
}

/// Proves the whole.
pub(super) fn plan(config: &EdgeConfig) -> Result<Plan, Vec<Problem>> {
    let mut problems = Problems::default();
    for (index, feature) in config.requires.iter().enumerate() {
        if !FEATURES.contains(&feature.as_str()) {
            problems.add(format!("requires[{index}]"), format!("unknown feature {feature:?}; this edge is older"));
        }
    }
    if config.cache.memory < limits::CACHE_MEMORY_MIN {
        problems.add("cache.memory", format!("must be at least {} bytes", limits::CACHE_MEMORY_MIN));
    }
    let mut uids = HashSet::new();
    let mut distributions = Vec::new();
    for (index, distribution) in config.distributions.iter().enumerate() {
        let field = format!("distributions[{index}]");
        if distribution.uid.is_empty() {
            problems.add(format!("{field}.uid"), "must not be empty");
        } else if !uids.insert(&distribution.uid) {
            problems.add(format!("{field}.uid"), format!("{:?} is used twice", distribution.uid));
        }
        distributions.extend(self::distribution(distribution, &field, &mut problems).map(Arc::new));
    }
    let hosts = hosts(config, &distributions, &mut problems);
    if problems.0.is_empty() {
        Ok(Plan { cache_memory: config.cache.memory, distributions, hosts })
    } else {
        Err(problems.0)
    }
}

/// Who answers to which Host. Judged on the configuration, so that a distribution with another problem still counts.
fn hosts(config: &EdgeConfig, distributions: &[Arc<Distribution>], problems: &mut Problems) -> Hosts {
    let mut hosts = Hosts::default();
    let mut owners = std::collections::HashMap::new();
    let mut without_aliases = None;
    for (index, configured) in config.distributions.iter().enumerate() {
        let field = format!("distributions[{index}]");
        let compiled = distributions.iter().find(|distribution| distribution.uid == configured.uid);
        if configured.aliases.is_empty() {
            if let Some(other) = without_aliases.replace(index) {
                let message =
                    format!("is empty as in distributions[{other}]; only one distribution answers to any Host");
                problems.add(format!("{field}.aliases"), message);
            }
            hosts.any = compiled.cloned();
            continue;
        }
        let aliases = configured.aliases.iter().enumerate().map(|(at, alias)| ("aliases", at, alias));
        let services = configured.service_hosts.iter().enumerate().map(|(at, host)| ("serviceHosts", at, host));
        for (list, at, text) in aliases.chain(services) {
            let field = format!("{field}.{list}[{at}]");
            if let Some((before, after)) = text.split_once('*').filter(|_| list == "serviceHosts") {
                match compiled {
                    _ if !is_family(before, after) => {
                        problems.add(field, format!("{text:?} is no family of host names"))
                    }
                    Some(compiled) => hosts.families.push((before.to_owned(), after.to_owned(), Arc::clone(compiled))),
                    None => {}
                }
                continue;
            }
            let wildcard = text.strip_prefix("*.").filter(|_| list == "aliases");
            let Some(name) = configured_host(wildcard.unwrap_or(text)) else {
                problems.add(field, format!("{text:?} is not a host name in lower case, without port"));
                continue;
            };
            match owners.insert((wildcard.is_some(), name.clone()), (index, list)) {
                // A name of the edge's own may be listed as an alias too.
                Some((owner, other)) if owner != index || (list == other && list == "aliases") => {
                    problems.add(field, format!("{text:?} is used twice, also in distributions[{owner}].{other}"));
                }
                _ => {
                    let map = if wildcard.is_some() { &mut hosts.wildcards } else { &mut hosts.exact };
                    map.extend(compiled.map(|distribution| (name, Arc::clone(distribution))));
                }
            }
        }
    }
    hosts
}

/// Whether `before*after` stands for host names that differ in the end of their first label.
fn is_family(before: &str, after: &str) -> bool {
    let example = format!("{before}x{after}");
    let is_in_first_label = !before.is_empty() && !before.contains('.') && (after.is_empty() || after.starts_with('.'));
    is_in_first_label && configured_host(&example).is_some()
}

/// A configured host in the form that requests are compared in. It is written in lower case and without trailing dot;
/// an IPv6 address with or without brackets.
fn configured_host(text: &str) -> Option<String> {
    if text.parse::<std::net::Ipv6Addr>().is_ok() {
        return host_name(&format!("[{text}]"));
    }
    if text.starts_with('[') {
        return host_name(text);
    }
    host_name(text).filter(|name| name == text)
}

fn distribution(config: &DistributionConfig, field: &str, problems: &mut Problems) -> Option<Distribution> {
    let before = problems.0.len();
    problems.at_most(&format!("{field}.aliases"), config.aliases.len(), limits::ALIASES);
    problems.at_most(&format!("{field}.behaviors"), config.behaviors.len(), limits::BEHAVIORS);
    problems.at_most(&format!("{field}.origins"), config.origins.len(), limits::ORIGINS);
    let default_root_object = root_object(config, field, problems);
    let origins = origins(config, field, problems);
    let default_behavior = behavior(&config.default_behavior, &origins, &format!("{field}.defaultBehavior"), problems);
    let mut behaviors: Vec<Arc<Behavior>> = Vec::new();
    let mut patterns: Vec<PathPattern> = Vec::new();
    for (index, configured) in config.behaviors.iter().enumerate() {
        let field = format!("{field}.behaviors[{index}]");
        let pattern = match PathPattern::parse(&configured.path_pattern) {
            Err(message) => {
                problems.add(format!("{field}.pathPattern"), message);
                None
            }
            Ok(pattern) if patterns.iter().any(|earlier| earlier.is_same(&pattern)) => {
                let message = format!("{:?} is used twice; the later one would never apply", configured.path_pattern);
                problems.add(format!("{field}.pathPattern"), message);
                None
            }
            Ok(pattern) => {
                patterns.push(pattern.clone());
                Some(pattern)
            }
        };
        let compiled = behavior(&configured.behavior, &origins, &field, problems);
        behaviors.extend(compiled.map(|behavior| Arc::new(Behavior { path_pattern: pattern, ..behavior })));
    }
    let default_behavior = Arc::new(default_behavior?);
    (problems.0.len() == before).then(|| Distribution {
        uid: config.uid.clone(),
        name: config.name.clone(),
        enabled: config.enabled,
        aliases: config.aliases.clone(),
        service_hosts: config.service_hosts.clone(),
        default_root_object,
        origins: origins.into_iter().flatten().collect(),
        behaviors,
        default_behavior,
    })
}

fn root_object(config: &DistributionConfig, field: &str, problems: &mut Problems) -> Option<String> {
    let object = config.default_root_object.as_ref()?;
    let path = format!("/{object}");
    let field = format!("{field}.defaultRootObject");
    if object.is_empty() || object.starts_with('/') {
        problems.add(field, "must be a path without leading slash, such as index.html");
    } else if object.len() > limits::PATH_PATTERN_BYTES {
        problems.add(field, format!("has at most {} bytes", limits::PATH_PATTERN_BYTES));
    } else if let Some(detail) = raw_path_problem(&path) {
        problems.add(field, detail);
    }
    Some(path)
}

/// What is wrong with a path in the configuration, which is sent as it stands.
fn raw_path_problem(path: &str) -> Option<&'static str> {
    if path.contains(['?', '#', '"', '<', '>', '`', '{', '}', '|', '^']) {
        return Some("the path has characters that must be encoded");
    }
    path_problem(path)
}

/// One entry for each configured origin, so that names are found even when something else is wrong with it.
fn origins(config: &DistributionConfig, field: &str, problems: &mut Problems) -> Vec<Option<Arc<Origin>>> {
    if config.origins.is_empty() {
        problems.add(format!("{field}.origins"), "must have at least one origin");
    }
    let mut names = HashSet::new();
    let mut origins = Vec::new();
    for (index, configured) in config.origins.iter().enumerate() {
        let field = format!("{field}.origins[{index}]");
        if configured.name.is_empty() {
            problems.add(format!("{field}.name"), "must not be empty");
        } else if !names.insert(&configured.name) {
            problems.add(format!("{field}.name"), format!("{:?} is used twice", configured.name));
        }
        origins.push(origin::compile(configured, &field, problems).map(Arc::new));
    }
    for behavior in std::iter::once((format!("{field}.defaultBehavior"), &config.default_behavior)).chain(
        config.behaviors.iter().enumerate().map(|(at, entry)| (format!("{field}.behaviors[{at}]"), &entry.behavior)),
    ) {
        let (field, behavior) = behavior;
        if !names.contains(&behavior.target_origin) {
            problems.add(format!("{field}.targetOrigin"), format!("no origin is named {:?}", behavior.target_origin));
        }
    }
    origins
}

fn behavior(
    config: &BehaviorConfig,
    origins: &[Option<Arc<Origin>>],
    field: &str,
    problems: &mut Problems,
) -> Option<Behavior> {
    if config.cached_methods == CachedMethods::GetHeadOptions && config.allowed_methods == AllowedMethods::GetHead {
        problems.add(format!("{field}.cachedMethods"), "OPTIONS is cached but not allowed; add it to allowedMethods");
    }
    let cache_policy = policy::compile(&config.cache_policy, &format!("{field}.cachePolicy"), problems);
    let origin = origins.iter().flatten().find(|origin| origin.name == config.target_origin)?;
    Some(Behavior {
        path_pattern: None,
        origin: Arc::clone(origin),
        viewer_protocol_policy: config.viewer_protocol_policy,
        allowed_methods: config.allowed_methods,
        cached_methods: config.cached_methods,
        cache_policy: cache_policy?,
    })
}
