//! A valid specification in the edge's words: references resolved, defaults filled in.
//!
//! Decides what an absent field means where the resource definition does not. Judges nothing but numbers that it has to
//! read; [`validate`](super::validate) has judged the rest.

use std::time::Duration;

use proxima_crds::{
    conditions::Reason,
    scalars::{self, ScalarError},
    v1alpha1::{
        AllowedMethods, Behavior, CacheKey, CachePolicy, CachedMethods, DistributionSpec, HeaderBehavior,
        HeaderSelection, InlineCachePolicy, ManagedCachePolicy, Origin, OriginProtocolPolicy, ParameterBehavior,
        ParameterSelection, SetCookie, Ttl, ViewerProtocolPolicy,
    },
};
use proxima_edge_core::edge_config::{self as edge, CacheConfig, CachePolicyConfig, EdgeConfig, Selection};

use super::{
    managed_policies::{managed, unmanaged},
    schema::Fault,
    validate::{ServiceName, Services, Settings, ca_bundle},
};
use crate::names;

/// Who a Distribution is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Namespace of the object.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// Unique over time, so that a new object of the same name shares nothing with an old one.
    pub uid: String,
}

/// Translates, or names the fields whose text cannot be computed with.
pub fn translate(spec: &DistributionSpec, who: &Identity, settings: &Settings) -> Result<EdgeConfig, Vec<Fault>> {
    let mut translator = Translator { who, settings, faults: Vec::new() };
    let config = translator.edge_config(spec);
    if translator.faults.is_empty() { Ok(config) } else { Err(translator.faults) }
}

struct Translator<'a> {
    who: &'a Identity,
    settings: &'a Settings,
    faults: Vec<Fault>,
}

impl Translator<'_> {
    fn edge_config(&mut self, spec: &DistributionSpec) -> EdgeConfig {
        let memory = spec.edge.as_ref().and_then(|edge| edge.cache.as_ref()).and_then(|cache| cache.memory.as_ref());
        let cache = match memory {
            Some(memory) => CacheConfig { memory: self.number("spec.edge.cache.memory", memory.bytes()) },
            None => CacheConfig::default(),
        };
        let distribution = edge::DistributionConfig {
            uid: self.who.uid.clone(),
            name: format!("{}/{}", self.who.namespace, self.who.name),
            enabled: spec.enabled,
            aliases: spec.aliases.iter().map(ToString::to_string).collect(),
            // Without aliases any Host is answered, and an address that comes later is no news to edges.
            service_hosts: match spec.aliases.is_empty() {
                true => Vec::new(),
                false => service_hosts(self.who, self.settings),
            },
            default_root_object: spec.default_root_object.as_ref().map(ToString::to_string),
            origins: self.each(&spec.origins, "spec.origins", Self::origin),
            default_behavior: self.behavior(&spec.default_cache_behavior, "spec.defaultCacheBehavior"),
            behaviors: self.each(&spec.cache_behaviors, "spec.cacheBehaviors", |this, behavior, field| {
                edge::PathBehaviorConfig {
                    path_pattern: behavior.path_pattern.to_string(),
                    behavior: this.behavior(&behavior.behavior, field),
                }
            }),
        };
        EdgeConfig { requires: Vec::new(), cache, distributions: vec![distribution] }
    }

    fn each<T, U>(&mut self, items: &[T], field: &str, translate: impl Fn(&mut Self, &T, &str) -> U) -> Vec<U> {
        items.iter().enumerate().map(|(index, item)| translate(self, item, &format!("{field}[{index}]"))).collect()
    }

    fn origin(&mut self, origin: &Origin, field: &str) -> edge::OriginConfig {
        let server = server(origin, self.who, self.settings);
        edge::OriginConfig {
            name: origin.name.to_string(),
            host: server.host,
            connect_to: server.connect_to,
            protocol_policy: server.protocol_policy,
            http_port: server.http_port,
            https_port: server.https_port,
            tls_server_name: server.tls_server_name,
            ca_bundle: server.ca_bundle,
            path: origin.path.as_ref().map(ToString::to_string).unwrap_or_default(),
            custom_headers: origin
                .custom_headers
                .iter()
                .map(|header| edge::HeaderConfig { name: header.name.to_string(), value: header.value.to_string() })
                .collect(),
            connection_attempts: origin.connection_attempts,
            connection_timeout_ms: self.milliseconds(&format!("{field}.connectionTimeout"), &origin.connection_timeout),
            response_timeout_ms: self.milliseconds(&format!("{field}.responseTimeout"), &origin.response_timeout),
            keep_alive_timeout_ms: self.milliseconds(&format!("{field}.keepAliveTimeout"), &origin.keep_alive_timeout),
        }
    }

    fn behavior(&mut self, behavior: &Behavior, field: &str) -> edge::BehaviorConfig {
        edge::BehaviorConfig {
            target_origin: behavior.target_origin.to_string(),
            viewer_protocol_policy: match behavior.viewer_protocol_policy {
                ViewerProtocolPolicy::AllowAll => edge::ViewerProtocolPolicy::AllowAll,
                ViewerProtocolPolicy::RedirectToHttps => edge::ViewerProtocolPolicy::RedirectToHttps,
                ViewerProtocolPolicy::HttpsOnly => edge::ViewerProtocolPolicy::HttpsOnly,
            },
            allowed_methods: match behavior.allowed_methods {
                AllowedMethods::GetHead => edge::AllowedMethods::GetHead,
                AllowedMethods::GetHeadOptions => edge::AllowedMethods::GetHeadOptions,
                AllowedMethods::All => edge::AllowedMethods::All,
                AllowedMethods::Any => edge::AllowedMethods::Any,
            },
            cached_methods: match behavior.cached_methods {
                CachedMethods::GetHead => edge::CachedMethods::GetHead,
                CachedMethods::GetHeadOptions => edge::CachedMethods::GetHeadOptions,
            },
            cache_policy: self.cache_policy(behavior.cache_policy.as_ref(), &format!("{field}.cachePolicy")),
        }
    }

    fn cache_policy(&mut self, policy: Option<&CachePolicy>, field: &str) -> CachePolicyConfig {
        match policy {
            None => managed(ManagedCachePolicy::OriginControlled),
            Some(CachePolicy { inline: Some(inline), .. }) => self.inline_policy(inline, &format!("{field}.inline")),
            Some(CachePolicy { managed: name, inline: None }) => {
                managed(name.unwrap_or(ManagedCachePolicy::OriginControlled))
            }
        }
    }

    fn inline_policy(&mut self, inline: &InlineCachePolicy, field: &str) -> CachePolicyConfig {
        let base = inline.based_on.map_or_else(unmanaged, managed);
        let policy = CachePolicyConfig {
            name: "inline".to_owned(),
            set_cookie: match inline.set_cookie {
                None => base.set_cookie,
                Some(SetCookie::Bypass) => edge::SetCookiePolicy::Bypass,
                Some(SetCookie::Strip) => edge::SetCookiePolicy::Strip,
                Some(SetCookie::Store) => edge::SetCookiePolicy::Store,
            },
            override_origin_directives: inline.override_origin_directives.unwrap_or(base.override_origin_directives),
            honor_request_directives: inline.honor_request_directives.unwrap_or(base.honor_request_directives),
            key: inline.key.as_ref().map_or_else(|| base.key.clone(), |key| merged_key(key, &base.key)),
            ..base
        };
        match &inline.ttl {
            None => policy,
            Some(ttl) => self.with_ttl(policy, ttl, &format!("{field}.ttl")),
        }
    }

    fn with_ttl(&mut self, base: CachePolicyConfig, ttl: &Ttl, field: &str) -> CachePolicyConfig {
        let mut given = |part: &str, duration: &Option<scalars::Duration>| {
            duration.as_ref().map(|duration| self.milliseconds(&format!("{field}.{part}"), duration))
        };
        let given = (given("min", &ttl.min), given("default", &ttl.default), given("max", &ttl.max));
        let (min, default, max) = resolved_ttl(given, (base.min_ttl_ms, base.default_ttl_ms, base.max_ttl_ms));
        CachePolicyConfig { min_ttl_ms: min, default_ttl_ms: default, max_ttl_ms: max, ..base }
    }

    fn milliseconds(&mut self, field: &str, duration: &scalars::Duration) -> u64 {
        let duration = duration.to_std();
        self.number(field, duration.map(|duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    fn number(&mut self, field: &str, read: Result<u64, ScalarError>) -> u64 {
        read.unwrap_or_else(|error| {
            self.faults.push(Fault::new(Reason::InvalidValue, field, error.to_string()));
            0
        })
    }
}

/// Bounds that are not given move out of the way of those that are. Without a base this is CloudFront's rule for a new
/// policy: `DefaultTTL` rises to a given `MinTTL`, `MaxTTL` to either.
fn resolved_ttl(
    (min, default, max): (Option<u64>, Option<u64>, Option<u64>),
    base: (u64, Option<u64>, u64),
) -> (u64, Option<u64>, u64) {
    let resolved_min = min.unwrap_or_else(|| base.0.min(default.unwrap_or(u64::MAX)).min(max.unwrap_or(u64::MAX)));
    let resolved_max = max.unwrap_or_else(|| base.2.max(default.unwrap_or(0)).max(resolved_min));
    let resolved_default = default.or_else(|| base.1.map(|default| default.max(resolved_min).min(resolved_max)));
    (resolved_min, resolved_default, resolved_max)
}

fn merged_key(key: &CacheKey, base: &edge::CacheKeyConfig) -> edge::CacheKeyConfig {
    edge::CacheKeyConfig {
        headers: key.headers.as_ref().map_or_else(|| base.headers.clone(), header_names),
        cookies: key.cookies.as_ref().map_or_else(|| base.cookies.clone(), selection),
        query_strings: key.query_strings.as_ref().map_or_else(|| base.query_strings.clone(), selection),
        ..base.clone()
    }
}

fn header_names(headers: &HeaderSelection) -> Vec<String> {
    match headers.behavior {
        HeaderBehavior::None => Vec::new(),
        HeaderBehavior::Some => {
            let mut names: Vec<String> = headers.names.iter().map(|name| name.as_str().to_ascii_lowercase()).collect();
            names.sort_unstable();
            names.dedup();
            names
        }
    }
}

fn selection(parameters: &ParameterSelection) -> Selection {
    let names = || parameters.names.iter().map(ToString::to_string).collect();
    match parameters.behavior {
        ParameterBehavior::None => Selection::None,
        ParameterBehavior::Some => Selection::Some(names()),
        ParameterBehavior::AllExcept => Selection::AllExcept(names()),
        ParameterBehavior::All => Selection::All,
    }
}

/// Where an origin is and how it is spoken to.
struct Server {
    host: String,
    connect_to: Option<String>,
    protocol_policy: edge::OriginProtocolPolicy,
    http_port: u16,
    https_port: u16,
    tls_server_name: Option<String>,
    ca_bundle: Option<String>,
}

fn server(origin: &Origin, who: &Identity, settings: &Settings) -> Server {
    if let Some(http) = &origin.http {
        let server_name = http.tls.as_ref().and_then(|tls| tls.server_name.as_ref());
        let authorities = http.tls.as_ref().and_then(|tls| tls.ca_bundle_ref.as_ref());
        return Server {
            host: http.host.as_str().to_ascii_lowercase(),
            connect_to: None,
            protocol_policy: match http.protocol_policy {
                OriginProtocolPolicy::HttpOnly => edge::OriginProtocolPolicy::HttpOnly,
                OriginProtocolPolicy::HttpsOnly => edge::OriginProtocolPolicy::HttpsOnly,
                OriginProtocolPolicy::MatchViewer => edge::OriginProtocolPolicy::MatchViewer,
            },
            http_port: http.http_port.number(),
            https_port: http.https_port.number(),
            tls_server_name: server_name.map(|name| name.as_str().to_ascii_lowercase()),
            ca_bundle: authorities.and_then(|reference| ca_bundle::certificates(reference, settings)),
        };
    }
    let (name, port) = origin.service.as_ref().map_or(("", 80), |service| (service.name.as_str(), service.port));
    let service = ServiceName { namespace: who.namespace.clone(), name: name.to_owned() };
    Server {
        host: format!("{}.{}.svc.{}", service.name, service.namespace, settings.cluster_domain),
        connect_to: match &settings.services {
            Services::Local(addresses) => addresses.get(&service).cloned(),
            Services::Cluster(_) => None,
        },
        protocol_policy: edge::OriginProtocolPolicy::HttpOnly,
        http_port: port,
        https_port: 443,
        tls_server_name: None,
        ca_bundle: None,
    }
}

/// Names of the edges' own Services, for all zones and for each, the addresses that they were given, and in local mode
/// those of the machine. As in a Host header: IPv6 in brackets.
fn service_hosts(who: &Identity, settings: &Settings) -> Vec<String> {
    let all_zones = names::edge_service(&who.name);
    let each_zone = format!("{}*", names::zone_object_prefix(&who.name));
    let domains = [String::new(), format!(".{}", who.namespace), format!(".{}.svc", who.namespace)];
    let full = format!(".{}.svc.{}", who.namespace, settings.cluster_domain);
    let domains: Vec<_> = domains.into_iter().chain([full]).collect();
    let names = [all_zones, each_zone]
        .into_iter()
        .flat_map(|service| domains.iter().map(move |domain| format!("{service}{domain}")));
    let mut hosts: Vec<_> = names.chain(settings.addresses.iter().cloned()).collect();
    if settings.is_local() {
        hosts.extend(["localhost", "127.0.0.1", "[::1]"].map(str::to_owned));
    }
    hosts
}

#[cfg(test)]
mod tests;
