//! What the API server was asked to change, and by whom.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Deserialize;

use super::Access;
use crate::wait::wait_until;

/// A place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditMark(u64);

/// A mutating request that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    /// Who asked.
    pub user: String,
    /// create, update, patch, delete or deletecollection.
    pub verb: String,
    /// Group of what was asked for; empty for the core group.
    pub group: String,
    /// Plural name of the kind.
    pub resource: String,
    /// Such as `status`, or nothing.
    pub subresource: String,
    /// Empty for what has none.
    pub namespace: String,
    /// Empty where the server chose it.
    pub name: String,
    /// Status code of the answer.
    pub code: u16,
    /// Path and query; tells field managers and dry runs.
    pub uri: String,
}

/// A line of the log, as far as it is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[serde(rename = "requestURI")]
    request_uri: String,
    verb: String,
    user: User,
    #[serde(default)]
    object_ref: ObjectRef,
    #[serde(default)]
    response_status: ResponseStatus,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ObjectRef {
    api_group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ResponseStatus {
    code: u16,
}

impl From<Line> for AuditEvent {
    fn from(line: Line) -> Self {
        let object = line.object_ref;
        Self {
            user: line.user.username,
            verb: line.verb,
            group: object.api_group,
            resource: object.resource,
            subresource: object.subresource,
            namespace: object.namespace,
            name: object.name,
            code: line.response_status.code,
            uri: line.request_uri,
        }
    }
}

/// The end of the log, with every request that was answered before in it.
pub(super) async fn mark(access: &Access, log: &Path) -> AuditMark {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    // A line is written shortly after its answer is sent. A request of our own that appears tells that earlier ones have.
    let sign = format!("audit-mark-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let from = length(log);
    access.kubectl(&["delete", "configmap", "-n", "default", "--ignore-not-found", &sign]).await.ok();
    wait_until("the audit log is complete", async || {
        let seen = lines(log, from);
        if seen.iter().any(|event| event.name == sign) { Ok(()) } else { Err(format!("{} lines", seen.len())) }
    })
    .await;
    AuditMark(length(log))
}

/// What `user` asked for since a mark; of everyone when `user` is empty.
pub(super) async fn since(access: &Access, log: &Path, from: AuditMark, user: &str) -> Vec<AuditEvent> {
    mark(access, log).await;
    let mut events = lines(log, from.0);
    events.retain(|event| (user.is_empty() || event.user == user) && !event.name.starts_with("audit-mark-"));
    events
}

fn length(log: &Path) -> u64 {
    std::fs::metadata(log).map_or(0, |data| data.len())
}

/// Complete lines from a place on.
fn lines(log: &Path, from: u64) -> Vec<AuditEvent> {
    let mut file = std::fs::File::open(log).expect("the audit log is there");
    file.seek(SeekFrom::Start(from)).expect("the audit log only grows");
    let mut text = String::new();
    file.read_to_string(&mut text).expect("the audit log is text");
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    let read = |line: &str| serde_json::from_str::<Line>(line).unwrap_or_else(|error| panic!("{error} in {line}"));
    complete.lines().map(|line| read(line).into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lines_are_read_from_a_place_on() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("audit.log");
        let line = r#"{"requestURI":"/api/v1/namespaces/a/pods/b/status?x=1","verb":"patch","user":{"username":"me"},
            "objectRef":{"resource":"pods","namespace":"a","name":"b","apiVersion":"v1","subresource":"status"},
            "responseStatus":{"metadata":{},"code":200}}"#;
        let line = line.replace('\n', "");
        std::fs::write(&log, format!("{line}\n{line}\n{}", &line[..20])).unwrap();
        assert_eq!(lines(&log, 0).len(), 2);
        let rest = lines(&log, line.len() as u64 + 1);
        let expected = AuditEvent {
            user: "me".into(),
            verb: "patch".into(),
            group: String::new(),
            resource: "pods".into(),
            subresource: "status".into(),
            namespace: "a".into(),
            name: "b".into(),
            code: 200,
            uri: "/api/v1/namespaces/a/pods/b/status?x=1".into(),
        };
        assert_eq!(rest, [expected]);
    }
}
