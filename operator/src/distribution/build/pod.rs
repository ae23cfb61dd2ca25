//! The Pods of one zone: what an edge runs as, and with what.
//!
//! Nothing here depends on the configuration but the memory that its cache takes: a changed configuration reaches edges
//! over the link, and must not restart them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource, EnvVar,
    EnvVarSource, HTTPGetAction, Lifecycle, LifecycleHandler, LocalObjectReference, NodeAffinity, NodeSelector,
    ObjectFieldSelector, PodSecurityContext, PodSpec, PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile,
    SecretVolumeSource, SecurityContext, SleepAction, TopologySpreadConstraint, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::ClusterSettings;
use super::service::HTTP_PORT_NAME;
use crate::distribution::sizing::memory_needed;
use crate::distribution::validate::PodFields;
use crate::{labels, limits, names, quantity, zones};

/// Name of the container.
pub const CONTAINER: &str = "edge";
/// Port of the link.
pub const CONTROL_PORT: u16 = 9443;
/// Where viewers come in.
const HTTP_PORT: u16 = 8080;
/// Port of health and metrics.
const ADMIN_PORT: u16 = 9090;
/// Name of that port.
const ADMIN_PORT_NAME: &str = "admin";
/// User and group that the image is made for.
const USER: i64 = 65_532;
/// Mode of mounted files, octal 440: the group is the edge's, nobody else reads keys.
const FILE_MODE: i32 = 0o440;

// The pause and the drain fit into the time before an edge is killed, and an edge that answers nothing is not restarted
// within a minute: its cache would be lost for what may be a busy node.
const _: () = assert!(limits::EDGE_TERMINATION_SECONDS > limits::EDGE_PRE_STOP_SECONDS + limits::EDGE_DRAIN_SECONDS);
const _: () = assert!((limits::EDGE_LIVENESS_FAILURES - 1) * limits::EDGE_LIVENESS_PERIOD_SECONDS >= 60);

/// Folders that are mounted: name of the volume and path.
const BOOT: (&str, &str) = ("boot", "/etc/proxima/boot");
const LINK: (&str, &str) = ("link", "/etc/proxima/link");
const STATE: (&str, &str) = ("state", "/var/lib/proxima");

/// All that decides how edges of a Distribution run.
pub(super) struct Edge<'a> {
    /// What the user gives them.
    pub(super) fields: &'a PodFields,
    /// Bytes of the cache of each.
    pub(super) cache: u64,
    /// What the operator is told about edges.
    pub(super) settings: &'a ClusterSettings,
}

/// The template of the Pods of this zone.
pub(super) fn template(distribution: &str, zone: &str, edge: &Edge<'_>) -> PodTemplateSpec {
    let fields = edge.fields;
    let metadata = ObjectMeta {
        labels: Some(labels::of_pod(distribution, zone, &fields.labels)),
        annotations: some(&fields.annotations),
        ..Default::default()
    };
    let pull_secrets: Vec<_> =
        edge.settings.pull_secrets.iter().map(|name| LocalObjectReference { name: name.clone() }).collect();
    let spec = PodSpec {
        affinity: Some(affinity(zone)),
        automount_service_account_token: Some(false),
        containers: vec![container(zone, edge)],
        // Variables for every Service of the namespace: nothing that an edge reads, and slow with many of them.
        enable_service_links: Some(false),
        image_pull_secrets: (!pull_secrets.is_empty()).then_some(pull_secrets),
        node_selector: some(&fields.node_selector),
        priority_class_name: fields.priority_class_name.clone(),
        security_context: Some(pod_security()),
        termination_grace_period_seconds: Some(limits::EDGE_TERMINATION_SECONDS),
        tolerations: (!fields.tolerations.is_empty()).then(|| fields.tolerations.clone()),
        topology_spread_constraints: Some(vec![spread(distribution, zone)]),
        volumes: Some(volumes(distribution)),
        ..Default::default()
    };
    PodTemplateSpec { metadata: Some(metadata), spec: Some(spec) }
}

fn some(map: &BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    (!map.is_empty()).then(|| map.clone())
}

fn container(zone: &str, edge: &Edge<'_>) -> Container {
    let settings = edge.settings;
    let probe = |path: &str| Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(ADMIN_PORT_NAME.to_owned()),
            ..Default::default()
        }),
        ..Default::default()
    };
    let liveness = Probe {
        period_seconds: Some(limits::EDGE_LIVENESS_PERIOD_SECONDS),
        timeout_seconds: Some(limits::EDGE_LIVENESS_TIMEOUT_SECONDS),
        failure_threshold: Some(limits::EDGE_LIVENESS_FAILURES),
        ..probe("/livez")
    };
    let readiness = Probe {
        period_seconds: Some(limits::EDGE_READINESS_PERIOD_SECONDS),
        timeout_seconds: Some(limits::EDGE_READINESS_TIMEOUT_SECONDS),
        failure_threshold: Some(limits::EDGE_READINESS_FAILURES),
        ..probe("/readyz")
    };
    // Whoever still sends viewers here learns meanwhile that it shall not.
    let pause = SleepAction { seconds: limits::EDGE_PRE_STOP_SECONDS };
    let pre_stop = LifecycleHandler { sleep: Some(pause), ..Default::default() };
    Container {
        name: CONTAINER.to_owned(),
        image: Some(settings.edge_image.clone()),
        image_pull_policy: Some(settings.pull_policy.clone()),
        args: Some(args(settings)),
        env: Some(env(zone)),
        ports: Some(ports()),
        lifecycle: Some(Lifecycle { pre_stop: Some(pre_stop), ..Default::default() }),
        liveness_probe: Some(liveness),
        readiness_probe: Some(readiness),
        resources: Some(resources(&edge.fields.resources, edge.cache)),
        security_context: Some(container_security()),
        // The last lines of a log say more about a crash than nothing.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some([(BOOT, true), (LINK, true), (STATE, false)].map(|(at, fixed)| mount(at, fixed)).into()),
        ..Default::default()
    }
}

fn args(settings: &ClusterSettings) -> Vec<String> {
    let any = |port: u16| format!("0.0.0.0:{port}");
    let access_log = if settings.access_log { "stdout" } else { "none" };
    let flags = [
        ("--boot", BOOT.1.to_owned()),
        ("--link", LINK.1.to_owned()),
        ("--state", STATE.1.to_owned()),
        ("--http", any(HTTP_PORT)),
        ("--control", any(CONTROL_PORT)),
        ("--admin", any(ADMIN_PORT)),
        ("--access-log", access_log.to_owned()),
        ("--log", settings.log.clone()),
    ];
    let flags = flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]);
    std::iter::once("run".to_owned()).chain(flags).collect()
}

fn env(zone: &str) -> Vec<EnvVar> {
    let name = ObjectFieldSelector { api_version: None, field_path: "metadata.name".to_owned() };
    let name = EnvVarSource { field_ref: Some(name), ..Default::default() };
    vec![
        EnvVar { name: "PROXIMA_ZONE".to_owned(), value: Some(zone.to_owned()), value_from: None },
        EnvVar { name: "PROXIMA_NAME".to_owned(), value: None, value_from: Some(name) },
    ]
}

fn ports() -> Vec<ContainerPort> {
    let ports = [(HTTP_PORT_NAME, HTTP_PORT), ("control", CONTROL_PORT), (ADMIN_PORT_NAME, ADMIN_PORT)];
    let port = |(name, port): (&str, u16)| ContainerPort {
        container_port: i32::from(port),
        name: Some(name.to_owned()),
        protocol: Some("TCP".to_owned()),
        ..Default::default()
    };
    ports.map(port).into()
}

fn mount((volume, path): (&str, &str), is_fixed: bool) -> VolumeMount {
    let read_only = is_fixed.then_some(true);
    VolumeMount { name: volume.to_owned(), mount_path: path.to_owned(), read_only, ..Default::default() }
}

fn volumes(distribution: &str) -> Vec<Volume> {
    let boot = ConfigMapVolumeSource {
        name: names::boot_copy(distribution),
        default_mode: Some(FILE_MODE),
        ..Default::default()
    };
    let link = SecretVolumeSource {
        secret_name: Some(names::LINK_SECRET.to_owned()),
        default_mode: Some(FILE_MODE),
        ..Default::default()
    };
    let state =
        EmptyDirVolumeSource { size_limit: Some(Quantity(quantity::bytes(limits::EDGE_STATE_BYTES))), medium: None };
    let volume = |(name, _): (&str, &str)| Volume { name: name.to_owned(), ..Default::default() };
    vec![
        Volume { config_map: Some(boot), ..volume(BOOT) },
        Volume { secret: Some(link), ..volume(LINK) },
        Volume { empty_dir: Some(state), ..volume(STATE) },
    ]
}

/// What the user gives wins; the rest follows from the cache. Judgement has seen to it that no request of ours exceeds a
/// limit of the user's, nor one of the user's a limit of ours, which the API server refuses.
fn resources(own: &ResourceRequirements, cache: u64) -> ResourceRequirements {
    let memory = Quantity(quantity::bytes(memory_needed(cache)));
    let mut requests = own.requests.clone().unwrap_or_default();
    let mut limits = own.limits.clone().unwrap_or_default();
    requests.entry("cpu".to_owned()).or_insert_with(|| Quantity(limits::EDGE_CPU_REQUEST.to_owned()));
    requests.entry("memory".to_owned()).or_insert_with(|| memory.clone());
    limits.entry("memory".to_owned()).or_insert(memory);
    ResourceRequirements { limits: Some(limits), requests: Some(requests), claims: own.claims.clone() }
}

fn affinity(zone: &str) -> Affinity {
    let required = NodeSelector { node_selector_terms: zones::affinity(zone) };
    let nodes = NodeAffinity {
        required_during_scheduling_ignored_during_execution: Some(required),
        preferred_during_scheduling_ignored_during_execution: None,
    };
    Affinity { node_affinity: Some(nodes), ..Default::default() }
}

/// Over the nodes of the zone, as evenly as they allow; each rollout for itself.
fn spread(distribution: &str, zone: &str) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        label_selector: Some(LabelSelector {
            match_labels: Some(labels::zone_selector(distribution, zone)),
            match_expressions: None,
        }),
        match_label_keys: Some(vec!["pod-template-hash".to_owned()]),
        max_skew: 1,
        topology_key: "kubernetes.io/hostname".to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        ..Default::default()
    }
}

/// With [`container_security`] what the Pod Security Standard "restricted" asks for.
fn pod_security() -> PodSecurityContext {
    PodSecurityContext {
        fs_group: Some(USER),
        run_as_group: Some(USER),
        run_as_non_root: Some(true),
        run_as_user: Some(USER),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
        ..Default::default()
    }
}

fn container_security() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        read_only_root_filesystem: Some(true),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// 100 MiB of cache need 216 MiB.
    fn check(own: Value, expected: Value) {
        let own: ResourceRequirements = serde_json::from_value(own).unwrap();
        assert_eq!(serde_json::to_value(resources(&own, 100 << 20)).unwrap(), expected);
    }

    #[test]
    fn memory_follows_from_the_cache_and_some_processor_is_asked_for() {
        check(json!({}), json!({"limits": {"memory": "216Mi"}, "requests": {"cpu": "100m", "memory": "216Mi"}}));
    }

    #[test]
    fn what_the_user_gives_wins() {
        check(
            json!({"limits": {"memory": "1Gi", "cpu": "2"}, "requests": {"cpu": "1", "ephemeral-storage": "1Gi"}}),
            json!({
                "limits": {"memory": "1Gi", "cpu": "2"},
                "requests": {"cpu": "1", "ephemeral-storage": "1Gi", "memory": "216Mi"},
            }),
        );
    }
}
