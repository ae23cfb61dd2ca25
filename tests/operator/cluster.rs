//! A cluster with a running operator, as a test looks at it: plain JSON by path, and waiting for what shall be true.

use std::fmt::Display;

use kube::Client;
use proxima_tests::bed::Access;
use proxima_tests::{ControlPlane, Operator, wait_until};
use serde_json::{Value, json};

/// Requests to the API server with the rights of whoever the client is.
#[derive(Clone)]
pub struct Requests(pub Client);

impl Requests {
    /// Status code and answer of a request.
    pub async fn send(&self, method: &str, path: &str, kind: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = http::Request::builder().method(method).uri(path).header("content-type", kind);
        match self.0.request::<Value>(request.body(body).unwrap()).await {
            Ok(answer) => (200, answer),
            Err(kube::Error::Api(status)) => (status.code, json!({"message": status.message})),
            Err(error) => panic!("{method} {path}: {error}"),
        }
    }

    /// An object that may be absent.
    pub async fn find(&self, path: &str) -> Option<Value> {
        match self.send("GET", path, "application/json", &Value::Null).await {
            (200, object) => Some(object),
            (404, _) => None,
            (code, answer) => panic!("GET {path}: {code} {answer}"),
        }
    }

    /// An object that is there.
    pub async fn get(&self, path: &str) -> Value {
        self.find(path).await.unwrap_or_else(|| panic!("{path} is not there"))
    }

    /// Makes an object in a collection.
    pub async fn create(&self, collection: &str, object: Value) -> Value {
        let (code, answer) = self.send("POST", collection, "application/json", &object).await;
        assert_eq!(code, 200, "POST {collection}: {answer}");
        answer
    }

    /// Changes fields of an object; null removes one.
    pub async fn merge(&self, path: &str, patch: Value) -> Value {
        let (code, answer) = self.send("PATCH", path, "application/merge-patch+json", &patch).await;
        assert_eq!(code, 200, "PATCH {path}: {answer}");
        answer
    }

    /// Replaces an object.
    pub async fn replace(&self, path: &str, object: Value) -> Value {
        let (code, answer) = self.send("PUT", path, "application/json", &object).await;
        assert_eq!(code, 200, "PUT {path}: {answer}");
        answer
    }

    /// Removes an object.
    pub async fn delete(&self, path: &str) {
        let (code, answer) = self.send("DELETE", path, "application/json", &Value::Null).await;
        assert!(code == 200 || code == 404, "DELETE {path}: {code} {answer}");
    }

    /// Waits until an object, null when absent, is as it should be; returns it.
    pub async fn until(&self, path: &str, what: &str, mut is_so: impl FnMut(&Value) -> bool) -> Value {
        wait_until(&format!("{path}: {what}"), async || {
            let object = self.find(path).await.unwrap_or_default();
            if is_so(&object) { Ok(object) } else { Err(format!("{object:#}")) }
        })
        .await
    }

    /// Waits until an object is gone.
    pub async fn until_gone(&self, path: &str) {
        self.until(path, "gone", Value::is_null).await;
    }
}

/// Path of an object, or of a collection when `name` is empty.
pub fn path(namespace: &str, kind: &str, name: &str) -> String {
    let group = match kind {
        "services" | "configmaps" | "secrets" | "pods" => "/api/v1",
        "deployments" => "/apis/apps/v1",
        "poddisruptionbudgets" => "/apis/policy/v1",
        "distributions" => "/apis/proxima.dev/v1alpha1",
        other => panic!("no path is known for {other}"),
    };
    let name = if name.is_empty() { String::new() } else { format!("/{name}") };
    format!("{group}/namespaces/{namespace}/{kind}{name}")
}

/// A Distribution with this specification beside its origin, which nobody asks for anything.
pub fn distribution(name: &str, spec: Value) -> Value {
    let mut object = json!({
        "apiVersion": "proxima.dev/v1alpha1", "kind": "Distribution", "metadata": {"name": name},
        "spec": {
            "origins": [{"name": "site", "http": {"host": "origin.example.com"}}],
            "defaultCacheBehavior": {"targetOrigin": "site", "cachePolicy": {"managed": "CachingOptimized"}},
        },
    });
    for (key, value) in spec.as_object().unwrap() {
        object["spec"][key] = value.clone();
    }
    object
}

/// Status, reason and message of a condition of a Distribution.
pub fn condition<'a>(object: &'a Value, kind: &str) -> (&'a str, &'a str, &'a str) {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    let found = conditions.into_iter().find(|condition| condition["type"] == kind).unwrap_or(&Value::Null);
    let text = |key: &str| found[key].as_str().unwrap_or_default();
    (text("status"), text("reason"), text("message"))
}

/// Uid of an object.
pub fn uid(object: &Value) -> String {
    object["metadata"]["uid"].as_str().unwrap_or_default().to_owned()
}

/// Uid of the owner of an object.
pub fn owner(object: &Value) -> String {
    object["metadata"]["ownerReferences"][0]["uid"].as_str().unwrap_or_default().to_owned()
}

/// The shared control plane for one test alone, an operator, and a namespace.
pub struct Cluster {
    pub operator: Operator,
    pub admin: Requests,
    pub namespace: String,
    pub plane: ControlPlane,
}

impl Cluster {
    pub async fn start(flags: &[&str]) -> Self {
        let plane = ControlPlane::exclusive().await;
        let operator = Operator::start(&plane, flags).await;
        Self::of(plane, operator).await
    }

    pub async fn of(plane: ControlPlane, operator: Operator) -> Self {
        let namespace = plane.namespace("web").await;
        let admin = requests(&plane).await;
        operator.ready().await;
        Self { operator, admin, namespace, plane }
    }

    pub fn path(&self, kind: &str, name: &str) -> String {
        path(&self.namespace, kind, name)
    }

    /// Makes a Distribution, and waits until a status tells that it was looked at.
    pub async fn distribution(&self, name: &str, spec: Value) -> Value {
        self.admin.create(&self.path("distributions", ""), distribution(name, spec)).await;
        self.admin.until(&self.path("distributions", name), "judged", |object| !object["status"].is_null()).await
    }

    /// Changes the specification of a Distribution.
    pub async fn edit(&self, name: &str, spec: Value) {
        self.admin.merge(&self.path("distributions", name), json!({"spec": spec})).await;
    }

    /// Waits until a condition has this reason; returns its message.
    pub async fn reason(&self, name: &str, kind: &str, reason: &str) -> String {
        let is_so = |object: &Value| {
            condition(object, kind).1 == reason
                && object["status"]["observedGeneration"] == object["metadata"]["generation"]
        };
        let object = self.admin.until(&self.path("distributions", name), reason, is_so).await;
        condition(&object, kind).2.to_owned()
    }

    /// Names of all Deployments of the namespace, in order.
    pub async fn deployments(&self) -> Vec<String> {
        let list = self.admin.get(&self.path("deployments", "")).await;
        let names = list["items"].as_array().unwrap().iter();
        let mut names: Vec<_> = names.map(|one| one["metadata"]["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }

    /// Waits until there are exactly these Deployments.
    pub async fn until_deployments(&self, expected: &[&str]) {
        wait_until(&format!("the Deployments are {expected:?}"), async || {
            let found = self.deployments().await;
            if found == expected { Ok(()) } else { Err(format!("{found:?}; {}", self.operator.process.stderr.text())) }
        })
        .await;
    }

    /// Makes a Distribution be reconciled this many times more, by notes of others on its Service.
    pub async fn reconcile_again(&self, name: &str, times: u32) {
        let service = self.path("services", &format!("{name}-edge"));
        for count in 0..times {
            let before = self.reconciles().await;
            let label = json!({"metadata": {"annotations": {"example.com/touched": count.to_string()}}});
            self.admin.merge(&service, json!({"metadata": {"annotations": {"example.com/touched": null}}})).await;
            self.admin.merge(&service, label).await;
            self.until_reconciles(before + 1.0).await;
        }
    }

    pub async fn reconciles(&self) -> f64 {
        self.operator.metrics().await.sum("proxima_operator_reconciles_total")
    }

    pub async fn until_reconciles(&self, count: f64) {
        wait_until(&format!("{count} reconciles"), async || {
            let now = self.reconciles().await;
            if now >= count { Ok(()) } else { Err(format!("{now}")) }
        })
        .await;
    }

    /// Asserts that reconciling again writes nothing.
    pub async fn assert_quiet(&self, name: &str, after: impl Display) {
        // What was begun before may still write.
        self.reconcile_again(name, 2).await;
        let mark = self.plane.audit_mark().await;
        self.reconcile_again(name, 4).await;
        let mut written = self.plane.audit(mark, &self.operator.user()).await;
        written.retain(|event| event.subresource != "status" && event.resource != "events");
        assert!(written.is_empty(), "after {after}: {written:#?}");
    }
}

/// As the administrator.
pub async fn requests(access: &Access) -> Requests {
    Requests(access.client().await)
}
