//! Labels of everything that the operator makes. Fixed for ever: selectors of Deployments cannot be changed.

use std::collections::BTreeMap;

/// Which Distribution an object belongs to: its name.
pub const DISTRIBUTION: &str = "proxima.dev/distribution";
/// Which zone an object or Pod is for: the value of the nodes' label.
pub const ZONE: &str = "proxima.dev/zone";
/// Who made the object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`], and the field manager of every write.
pub const MANAGER: &str = "proxima-operator";
/// What software it is.
pub const NAME: &str = "app.kubernetes.io/name";
/// The value of [`NAME`].
pub const EDGE: &str = "proxima-edge";

/// Of every object made for a Distribution.
pub fn of_distribution(distribution: &str) -> BTreeMap<String, String> {
    let labels = [
        (NAME, EDGE),
        ("app.kubernetes.io/instance", distribution),
        ("app.kubernetes.io/component", "edge"),
        (MANAGED_BY, MANAGER),
        (DISTRIBUTION, distribution),
    ];
    labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

/// Of every object and Pod made for one zone of it.
pub fn of_zone(distribution: &str, zone: &str) -> BTreeMap<String, String> {
    let mut labels = of_distribution(distribution);
    labels.insert(ZONE.to_owned(), zone.to_owned());
    labels
}

/// What selects all Pods of a Distribution.
pub fn selector(distribution: &str) -> BTreeMap<String, String> {
    [(NAME, EDGE), (DISTRIBUTION, distribution)].map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

/// What selects its Pods in one zone.
pub fn zone_selector(distribution: &str, zone: &str) -> BTreeMap<String, String> {
    let mut labels = selector(distribution);
    labels.insert(ZONE.to_owned(), zone.to_owned());
    labels
}

/// The label selector of everything that the operator made.
pub fn managed() -> String {
    format!("{MANAGED_BY}={MANAGER}")
}

/// Of a Pod: the user's own labels beside ours. Ours win, since selectors and the link go by them.
pub fn of_pod(distribution: &str, zone: &str, own: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut labels = own.clone();
    labels.extend(of_zone(distribution, zone));
    labels
}
