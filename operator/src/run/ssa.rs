//! Writing children of a Distribution: create, bring up to date, remove. Knows no kind by name.
//!
//! **Nothing foreign is touched.** An object is made by a request that fails when the name is taken; it is changed only
//! with the uid that was just seen, and removed only with that uid. Server-side apply alone would quietly take over a
//! stranger's object of the same name, and its `resourceVersion: "0"` does not prevent that for built-in kinds.

use std::fmt::Debug;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use k8s_openapi::serde::{Serialize, de::DeserializeOwned};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Resource, ResourceExt};
use serde_json::{Value, json};

use crate::labels::MANAGER;

/// What a child is to the operator.
pub trait Child:
    k8s_openapi::Resource + Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned + Send + Sync
{
}

impl<K> Child for K where
    K: k8s_openapi::Resource + Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned + Send + Sync
{
}

/// Makes an object. Fails with `AlreadyExists` when the name is taken, by whomever.
pub async fn create<K: Child>(api: &Api<K>, desired: &K) -> kube::Result<K> {
    let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    api.create(&params, desired).await
}

/// Brings an object to what is desired: our fields become ours alone, all others stay as they are.
pub async fn update<K: Child>(api: &Api<K>, desired: &K, live: &K) -> kube::Result<K> {
    let name = live.name_any();
    if let Some(index) = created_entry(live.managed_fields()) {
        api.patch(&name, &PatchParams::default(), &Patch::Merge(hand_over(index, live))).await?;
    }
    let mut patch = serde_json::to_value(desired).expect("objects of Kubernetes are plain data");
    // A request for an object of another uid fails: this one was seen to be ours.
    patch["metadata"]["uid"] = json!(live.uid());
    api.patch(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(patch)).await
}

/// Removes an object, if it is still the one that was seen.
pub async fn delete<K: Child>(api: &Api<K>, live: &K) -> kube::Result<()> {
    let preconditions = Preconditions { uid: live.uid(), resource_version: None };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() };
    match api.delete(&live.name_any(), &params).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Where the API server noted what we own since we made the object. It keeps such a note apart from what we own since
/// we applied, and a field that is in both is not removed when it is no longer applied.
fn created_entry(entries: &[ManagedFieldsEntry]) -> Option<usize> {
    entries.iter().position(|entry| {
        entry.manager.as_deref() == Some(MANAGER)
            && entry.operation.as_deref() == Some("Update")
            && entry.subresource.as_deref().unwrap_or_default().is_empty()
    })
}

/// A merge patch that turns that note into one of applying, unless the object has changed meanwhile.
fn hand_over<K: Child>(index: usize, live: &K) -> Value {
    let mut entries = live.managed_fields().to_vec();
    entries[index].operation = Some("Apply".to_owned());
    json!({"metadata": {"resourceVersion": live.resource_version(), "managedFields": entries}})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(manager: &str, operation: &str, subresource: Option<&str>) -> ManagedFieldsEntry {
        ManagedFieldsEntry {
            manager: Some(manager.to_owned()),
            operation: Some(operation.to_owned()),
            subresource: subresource.map(str::to_owned),
            ..ManagedFieldsEntry::default()
        }
    }

    #[test]
    fn only_the_note_of_our_own_making_is_handed_over() {
        let others = [entry("kube-controller-manager", "Update", Some("status")), entry("kubectl", "Update", None)];
        assert_eq!(created_entry(&others), None);
        let ours = [entry("kubectl", "Update", None), entry(MANAGER, "Apply", None), entry(MANAGER, "Update", None)];
        assert_eq!(created_entry(&ours), Some(2));
    }
}
