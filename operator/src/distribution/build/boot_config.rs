//! The ConfigMap that edges start from: the last accepted configuration and its place in history. It is also where the
//! operator itself remembers both.

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use proxima_edge_core::link::{Envelope, content_hash};
use serde_json::Value;

use super::metadata;
use crate::distribution::gather::ObjectName;
use crate::{labels, names};

/// Key of the ConfigMap, and name of the file that edges read.
pub const KEY: &str = "config.json";

/// The ConfigMap of this Distribution with this content.
pub fn config_map(distribution: &ObjectName, owner: &OwnerReference, envelope: &Envelope) -> ConfigMap {
    let json = serde_json::to_string(envelope).expect("a configuration has no map keys and no numbers that JSON lacks");
    let name = names::boot_copy(&distribution.name);
    ConfigMap {
        metadata: metadata(distribution, name, labels::of_distribution(&distribution.name), owner),
        data: Some([(KEY.to_owned(), json)].into()),
        ..Default::default()
    }
}

/// What the ConfigMap holds, unless it was spoiled: edges would refuse that too.
pub fn read(config_map: &ConfigMap) -> Option<Envelope> {
    let envelope: Envelope = serde_json::from_str(config_map.data.as_ref()?.get(KEY)?).ok()?;
    (content_hash(&envelope.config) == envelope.hash).then_some(envelope)
}

/// Its revision, also where the rest cannot be used: revisions go on from it.
pub fn revision(config_map: &ConfigMap) -> Option<u64> {
    let value: Value = serde_json::from_str(config_map.data.as_ref()?.get(KEY)?).ok()?;
    value.get("revision")?.as_u64()
}

#[cfg(test)]
mod tests {
    use proxima_edge_core::edge_config::EdgeConfig;

    use super::*;

    fn object(text: &str) -> ConfigMap {
        ConfigMap { data: Some([(KEY.to_owned(), text.to_owned())].into()), ..Default::default() }
    }

    fn envelope() -> Envelope {
        let config = EdgeConfig { requires: vec![], cache: Default::default(), distributions: vec![] };
        let hash = content_hash(&config);
        Envelope { uid: "u".to_owned(), term: 1, revision: 7, epoch: 0, generation: 5, hash, config }
    }

    #[test]
    fn what_is_written_is_read() {
        let distribution = ObjectName { namespace: "web".to_owned(), name: "shop".to_owned() };
        let written = config_map(&distribution, &OwnerReference::default(), &envelope());
        assert_eq!(written.metadata.name.as_deref(), Some("shop-edge-boot"));
        assert_eq!((read(&written), revision(&written)), (Some(envelope()), Some(7)));
    }

    #[test]
    fn a_spoiled_copy_still_tells_its_revision() {
        let spoiled = Envelope { hash: "0".to_owned(), ..envelope() };
        let spoiled = object(&serde_json::to_string(&spoiled).unwrap());
        assert_eq!((read(&spoiled), revision(&spoiled)), (None, Some(7)));
        let other = object(r#"{"revision": 8, "config": []}"#);
        assert_eq!((read(&other), revision(&other)), (None, Some(8)));
    }

    #[test]
    fn what_is_no_copy_is_nothing() {
        for config_map in [ConfigMap::default(), object("{"), object("7")] {
            assert_eq!((read(&config_map), revision(&config_map)), (None, None));
        }
    }
}
