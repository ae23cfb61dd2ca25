//! Rules about what a crate may reach: the arrows between the crates, and what each must be able to live without.

use std::collections::BTreeSet;
use std::process::Command;

use crate::tree;

/// A crate and what must not be among its dependencies, direct or not.
///
/// The edge holds no Kubernetes credential, so it has no use for a client; its core does no I/O, so it cannot name any;
/// the operator stores no responses; the API types are for everybody's programs.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("proxima-crds", &["tokio", "hyper", "moka", "rustls", "proxima-edge-core", "proxima-edge", "proxima-operator"]),
    ("proxima-edge-core", &["tokio", "hyper", "moka", "kube", "kube-core", "k8s-openapi", "rustls", "proxima-crds"]),
    ("proxima-edge", &["kube", "kube-core", "kube-client", "k8s-openapi", "proxima-crds", "proxima-operator"]),
    ("proxima-operator", &["moka", "proxima-edge"]),
];

/// Two libraries for cryptography in one process make rustls refuse to choose; OpenSSL is not memory-safe.
const FORBIDDEN_ANYWHERE: &[&str] = &["ring", "openssl", "openssl-sys", "native-tls", "serde_yml"];

/// Breaches of [`FORBIDDEN`].
pub(crate) fn forbidden(closure: &dyn Fn(&str) -> BTreeSet<String>) -> Vec<String> {
    let mut complaints = Vec::new();
    for (package, banned) in FORBIDDEN {
        let reached = closure(package);
        let bad = banned.iter().filter(|name| reached.contains(**name));
        complaints
            .extend(bad.map(|name| format!("{package} must not reach {name}: cargo tree -p {package} -i {name}")));
    }
    complaints
}

/// Breaches of [`FORBIDDEN_ANYWHERE`].
pub(crate) fn forbidden_anywhere(reached: &BTreeSet<String>) -> Vec<String> {
    let bad = FORBIDDEN_ANYWHERE.iter().filter(|name| reached.contains(**name));
    bad.map(|name| format!("{name} is linked: cargo tree --workspace -i {name}")).collect()
}

/// Names of all that a package links. One package at a time: asked for the workspace, Cargo unifies the features of all.
pub(crate) fn closure(package: &str) -> BTreeSet<String> {
    cargo_tree(&["-p", package, "-e", "normal"])
}

/// Names of all that the workspace links or builds with, tests included.
pub(crate) fn workspace_closure() -> BTreeSet<String> {
    cargo_tree(&["--workspace", "-e", "normal,build,dev"])
}

fn cargo_tree(selection: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--prefix", "none", "--format", "{p}"])
        .args(selection)
        .current_dir(tree::root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    let names: BTreeSet<_> = text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    assert!(names.len() > 5, "cargo tree answered with next to nothing: {names:?}");
    names
}

#[test]
fn a_forbidden_dependency_is_found() {
    let reach_all = |_: &str| ["moka", "serde"].map(str::to_owned).into();
    let complaints = forbidden(&reach_all);
    assert_eq!(complaints.len(), 3, "{complaints:?}");
    assert_eq!(forbidden_anywhere(&["serde", "ring"].map(str::to_owned).into()).len(), 1);
}
