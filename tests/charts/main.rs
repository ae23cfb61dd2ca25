//! The charts, the manifest for kubectl that is made from them, and the images that they name.
//!
//! Nothing here needs a cluster: Helm renders, and what it renders is compared with what is recorded, with the command
//! line of the real operator, and with the permissions that the operator is meant to have. `PROXIMA_UPDATE_GOLDEN=1`
//! writes `tests/charts/golden` and `charts/install.yaml` anew.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod definitions;
mod helm;
mod images;
mod permissions;
mod values;

use std::process::Command;
use std::{env, fs};

use helm::{NAMESPACE, at, helm, helm_ok, helm_refusal, object, objects, read, render, root, yaml};
use proxima_tests::process::binary;
use serde_json::{Value, json};

/// Values that differ from the default in everything.
const EXTREME: &[&str] = &["--values", "../tests/charts/extreme.yaml", "--api-versions", "monitoring.coreos.com/v1"];

/// What says how to install without Helm, before the objects.
const INSTALL: &str = "\
# Proxima's operator for clusters where Helm is not used: the chart proxima with its default values, in a namespace of its
# own. Generated: PROXIMA_UPDATE_GOLDEN=1 cargo test -p proxima-tests --test charts
#
#   kubectl apply -f crds/yaml/distributions.proxima.dev.yaml
#   kubectl apply -f charts/install.yaml
#
# Put the names of your images in place of proxima-operator:… and proxima-edge:… before.
---
apiVersion: v1
kind: Namespace
metadata:
  name: proxima-system
  labels:
    pod-security.kubernetes.io/enforce: restricted
";

/// Compares with a committed file, or writes it.
fn check_recorded(path: &str, text: &str) {
    if env::var_os("PROXIMA_UPDATE_GOLDEN").is_some() {
        fs::write(root().join(path), text).unwrap();
        return;
    }
    let recorded = fs::read_to_string(root().join(path)).unwrap_or_default();
    let mut lines = recorded.lines().zip(text.lines()).enumerate();
    let differing = lines.find(|(_, (recorded, now))| recorded != now);
    assert!(
        recorded == text,
        "{path} is not what the chart says, first at {differing:?}; look at the difference that this makes: \
         PROXIMA_UPDATE_GOLDEN=1 cargo test -p proxima-tests --test charts"
    );
}

#[test]
fn the_default_values_render_as_recorded() {
    check_recorded("tests/charts/golden/default.yaml", &render("proxima", &[]));
}

#[test]
fn values_that_are_all_different_render_as_recorded() {
    check_recorded("tests/charts/golden/extreme.yaml", &render("proxima", EXTREME));
}

#[test]
fn the_manifest_for_kubectl_is_the_chart() {
    let rendered = render("proxima", &["--skip-tests"]);
    // Helm is not there to manage anything.
    let of_helm = ["app.kubernetes.io/managed-by: Helm", "helm.sh/chart: ", "app.kubernetes.io/instance: "];
    let lines = rendered.lines().filter(|line| !of_helm.iter().any(|label| line.trim_start().starts_with(label)));
    let objects: Vec<_> = lines.collect();
    check_recorded("charts/install.yaml", &format!("{INSTALL}{}\n", objects.join("\n")));
}

#[test]
fn helm_finds_nothing_to_complain_about() {
    for arguments in [vec!["proxima-crds"], vec!["proxima"], [&["proxima"], &EXTREME[..2]].concat()] {
        helm_ok(&[&["lint", "--strict", "--quiet"], &arguments[..]].concat());
    }
}

#[test]
fn a_server_that_is_too_old_is_refused() {
    for chart in ["proxima-crds", "proxima"] {
        let refusal = helm_refusal(&["template", "proxima", chart, "--kube-version", "1.32.9"]);
        assert!(refusal.contains(">=1.33.0-0") && refusal.contains("1.32.9"), "{refusal}");
    }
}

#[test]
fn the_versions_are_those_of_the_workspace() {
    let manifest = read("Cargo.toml");
    let version = manifest.lines().find_map(|line| line.strip_prefix("version = ")).unwrap().trim_matches('"');
    for chart in ["proxima-crds", "proxima"] {
        let chart = yaml(&read(&format!("charts/{chart}/Chart.yaml")));
        assert_eq!((&chart["version"], &chart["appVersion"]), (&json!(version), &json!(version)));
    }
}

/// Arguments of the operator's container.
fn operator_arguments(more: &[&str]) -> Vec<String> {
    let deployment = object(&objects(&render("proxima", more)), "Deployment", "proxima-operator");
    serde_json::from_value(at(&deployment, "spec.template.spec.containers")[0]["args"].clone()).unwrap()
}

#[test]
fn an_image_is_named_by_digest_else_by_tag_else_by_the_version_of_the_chart() {
    let digest = format!("image.digest=sha256:{}", "0a".repeat(32));
    let image = |more: &[&str]| {
        let deployment = object(&objects(&render("proxima", more)), "Deployment", "proxima-operator");
        at(&deployment, "spec.template.spec.containers")[0]["image"].as_str().unwrap().to_owned()
    };
    let version = yaml(&read("charts/proxima/Chart.yaml"))["appVersion"].as_str().unwrap().to_owned();
    assert_eq!(image(&[]), format!("proxima-operator:{version}"));
    assert_eq!(image(&["--set", "image.tag=v7"]), "proxima-operator:v7");
    let by_digest = format!("proxima-operator@sha256:{}", "0a".repeat(32));
    assert_eq!(image(&["--set", "image.tag=v7", "--set", &digest]), by_digest);
}

/// Whether the operator's own command line takes these. Help is asked for last, so that nothing is started.
fn accepts(arguments: &[String]) -> Result<(), String> {
    let mut command = Command::new(binary("PROXIMA_OPERATOR_BIN", "proxima-operator"));
    let output = command.args(arguments).arg("--help").output().unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

#[test]
fn the_operator_takes_the_arguments_that_the_chart_writes() {
    for more in [&[], EXTREME] {
        let arguments = operator_arguments(more);
        assert!(arguments.len() > 5, "{arguments:?}");
        accepts(&arguments).unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
    }
}

#[test]
fn the_operator_refuses_other_arguments_even_where_help_follows() {
    for wrong in ["--no-such-flag", "--workers=many"] {
        assert!(accepts(&["run".to_owned(), wrong.to_owned()]).is_err(), "{wrong}");
    }
}

#[test]
fn the_test_asks_the_operator_through_its_service() {
    let objects = objects(&render("proxima", EXTREME));
    let pod = object(&objects, "Pod", "proxima-operator-ready");
    assert_eq!(at(&pod, "metadata.annotations")["helm.sh/hook"], "test");
    let arguments: Vec<String> = serde_json::from_value(at(&pod, "spec.containers")[0]["args"].clone()).unwrap();
    let service = object(&objects, "Service", "proxima-operator");
    let port = &at(&service, "spec.ports")[0]["port"];
    assert_eq!(arguments, ["probe", &format!("http://proxima-operator.{NAMESPACE}.svc:{port}/readyz")]);
    accepts(&arguments).unwrap();
}

#[test]
fn ports_selectors_and_accounts_fit_together() {
    let objects = objects(&render("proxima", EXTREME));
    let deployment = object(&objects, "Deployment", "proxima-operator");
    let template = at(&deployment, "spec.template");
    let container = &at(template, "spec.containers")[0];
    let labels = at(template, "metadata.labels").as_object().unwrap();
    let service = object(&objects, "Service", "proxima-operator");
    for selector in [at(&service, "spec.selector"), at(&deployment, "spec.selector.matchLabels")] {
        let selector = selector.as_object().unwrap();
        assert!(!selector.is_empty() && selector.iter().all(|(key, value)| labels.get(key) == Some(value)));
    }
    let monitor = object(&objects, "ServiceMonitor", "proxima-operator");
    let monitored = at(&monitor, "spec.selector.matchLabels").as_object().unwrap();
    let offered = at(&service, "metadata.labels").as_object().unwrap();
    assert!(!monitored.is_empty() && monitored.iter().all(|(key, value)| offered.get(key) == Some(value)));
    assert_eq!(at(&monitor, "spec.endpoints")[0]["port"], at(&service, "spec.ports")[0]["name"]);
    assert_eq!(at(&service, "spec.ports")[0]["targetPort"], container["ports"][0]["name"]);
    let listening = format!("--admin=0.0.0.0:{}", container["ports"][0]["containerPort"]);
    assert!(container["args"].as_array().unwrap().contains(&json!(listening)), "{listening}");
    let account = at(template, "spec.serviceAccountName").as_str().unwrap();
    object(&objects, "ServiceAccount", account);
}

/// A Deployment's selector cannot be changed, and a second operator must collide instead of working beside the first.
#[test]
fn neither_names_nor_the_selector_depend_on_values_or_on_the_release() {
    let identity = |release: &str, more: &[&str]| {
        let fixed = ["template", release, "proxima", "--kube-version", "1.33.0", "--namespace", NAMESPACE];
        let objects = objects(&helm_ok(&[&fixed, more].concat()));
        let mut names: Vec<_> = objects.iter().map(|o| (o["kind"].clone(), o["metadata"]["name"].clone())).collect();
        names.retain(|(kind, _)| kind != "ServiceMonitor");
        names.sort_by_key(|(kind, name)| format!("{kind}/{name}"));
        (names, at(&object(&objects, "Deployment", "proxima-operator"), "spec.selector").clone())
    };
    let first = identity("proxima", &[]);
    assert_eq!(first, identity("another", &[]));
    assert_eq!(first, identity("proxima", &[EXTREME, &["--set", "rbac.aggregate=true"]].concat()));
}

/// The rules of Pod Security "restricted" that concern what these Pods have.
fn restricted_violations(pod: &Value) -> Vec<String> {
    let mut violations = Vec::new();
    let mut demand = |held: bool, what: &str| {
        if !held {
            violations.push(what.to_owned());
        }
    };
    let security = &pod["securityContext"];
    demand(security["runAsNonRoot"] == true, "runAsNonRoot");
    demand(security["runAsUser"].as_u64().is_some_and(|user| user > 0), "runAsUser");
    demand(security["seccompProfile"]["type"] == "RuntimeDefault", "seccompProfile");
    for key in ["hostNetwork", "hostPID", "hostIPC", "volumes", "initContainers"] {
        demand(pod.get(key).is_none(), key);
    }
    for container in pod["containers"].as_array().unwrap() {
        let security = &container["securityContext"];
        demand(security["allowPrivilegeEscalation"] == false, "allowPrivilegeEscalation");
        demand(security["readOnlyRootFilesystem"] == true, "readOnlyRootFilesystem");
        demand(security["capabilities"] == json!({"drop": ["ALL"]}), "capabilities");
        demand(container["resources"]["requests"].is_object(), "resources");
    }
    violations
}

#[test]
fn pods_pass_pod_security_restricted() {
    for more in [&[], EXTREME] {
        let objects = objects(&render("proxima", more));
        let deployment = object(&objects, "Deployment", "proxima-operator");
        assert_eq!(restricted_violations(at(&deployment, "spec.template.spec")), Vec::<String>::new());
        let test = object(&objects, "Pod", "proxima-operator-ready");
        assert_eq!(restricted_violations(&test["spec"]), Vec::<String>::new());
    }
    assert_eq!(restricted_violations(&json!({"hostPID": true, "containers": [{}]})).len(), 8);
}

/// What Helm shows after an installation.
fn notes(chart: &str, more: &[&str]) -> String {
    let fixed = ["install", "proxima", chart, "--namespace", NAMESPACE, "--dry-run=client", "--output", "json"];
    let release: Value = serde_json::from_str(&helm_ok(&[&fixed, more].concat())).unwrap();
    release["info"]["notes"].as_str().unwrap().to_owned()
}

#[test]
fn the_notes_name_the_next_command() {
    assert!(notes("proxima-crds", &[]).contains("helm install proxima charts/proxima --namespace proxima-system"));
    let notes = notes("proxima", &[]);
    assert!(notes.contains("helm test proxima --namespace proxima-system"), "{notes}");
    assert!(notes.contains("kubectl wait --for=condition=Ready distribution/quickstart"), "{notes}");
}

#[test]
fn the_notes_say_what_is_missing_in_the_cluster() {
    let lacking = notes("proxima", &["--set", "serviceMonitor.enabled=true"]);
    assert!(lacking.contains("helm install proxima-crds charts/proxima-crds"), "{lacking}");
    assert!(lacking.contains("No ServiceMonitor was made"), "{lacking}");
    let quiet = notes("proxima", &["--set", "serviceMonitor.enabled=false"]);
    assert!(!quiet.contains("ServiceMonitor"), "{quiet}");
}

#[test]
fn a_monitor_is_made_only_where_asked_for_and_known() {
    let monitors = |more: &[&str]| {
        let objects = objects(&render("proxima", more));
        objects.iter().filter(|object| object["kind"] == "ServiceMonitor").count()
    };
    let (asked, known) = (["--set", "serviceMonitor.enabled=true"], ["--api-versions", "monitoring.coreos.com/v1"]);
    assert_eq!([monitors(&asked), monitors(&known), monitors(&[asked, known].concat())], [0, 0, 1]);
}

#[test]
fn the_manifest_in_the_notes_is_a_distribution() {
    let notes = notes("proxima", &[]);
    let manifest = notes.split("<<'END'\n").nth(1).and_then(|rest| rest.split("  END\n").next()).unwrap();
    let object: proxima_crds::v1alpha1::Distribution = serde_yaml::from_str(manifest).unwrap();
    assert!(object.validate_cel().is_ok(), "{:?}", object.validate_cel());
}

#[test]
fn the_cluster_for_kind_has_three_workers_in_three_zones() {
    let cluster = yaml(&read("charts/kind.yaml"));
    let workers = cluster["nodes"].as_array().unwrap().iter().filter(|node| node["role"] == "worker");
    let zones: Vec<_> = workers.map(|node| node["labels"]["topology.kubernetes.io/zone"].as_str().unwrap()).collect();
    assert_eq!(zones, ["a", "b", "c"]);
}

/// What the README tells people to type must at least name what is there.
#[test]
fn commands_of_the_readme_name_files_that_exist() {
    let readme = read("README.md");
    let words = readme.split_whitespace().map(|word| word.trim_matches(['`', ',', '.', ';', '(', ')']));
    let mut paths: Vec<_> = words.filter(|word| word.starts_with("charts/") || word.ends_with("/Dockerfile")).collect();
    paths.sort_unstable();
    paths.dedup();
    assert!(paths.len() >= 6, "{paths:?}");
    assert!(paths.iter().all(|path| root().join(path).exists()), "{paths:?}");
}

#[test]
fn helm_runs_at_all() {
    assert!(helm(&["version"]).status.success());
}
