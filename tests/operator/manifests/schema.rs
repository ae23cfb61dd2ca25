//! The definition's schema, and an object that has every field, to make others from.

use http::Request;
use kube::Client;
use serde_json::{Value, json};

/// Schema of a Distribution.
pub(super) fn distribution() -> Value {
    let definition = serde_json::to_value(&proxima_crds::all()[0]).unwrap();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// Messages of all CEL rules.
pub(super) fn rule_messages() -> Vec<String> {
    let mut messages = Vec::new();
    collect_messages(&distribution(), &mut messages);
    messages
}

fn collect_messages(schema: &Value, messages: &mut Vec<String>) {
    match schema {
        Value::Object(members) => {
            let rules = members.get("x-kubernetes-validations").and_then(Value::as_array);
            messages.extend(rules.into_iter().flatten().map(|rule| rule["message"].as_str().unwrap().to_owned()));
            members.values().for_each(|member| collect_messages(member, messages));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_messages(item, messages)),
        _ => {}
    }
}

/// A step from a value to one inside it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Member(String),
    Item(usize),
}

/// A place in an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Place(Vec<Step>);

impl Place {
    pub(super) fn member(&self, name: &str) -> Self {
        self.then(Step::Member(name.to_owned()))
    }

    pub(super) fn item(&self, index: usize) -> Self {
        self.then(Step::Item(index))
    }

    fn then(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }

    /// As the API server writes it.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for step in &self.0 {
            match step {
                Step::Member(name) if text.is_empty() => text.push_str(name),
                Step::Member(name) => text.push_str(&format!(".{name}")),
                Step::Item(index) => text.push_str(&format!("[{index}]")),
            }
        }
        text
    }

    /// What the object has here.
    pub(super) fn get<'a>(&self, object: &'a Value) -> &'a Value {
        self.0.iter().fold(object, |value, step| match step {
            Step::Member(name) => &value[name],
            Step::Item(index) => &value[index],
        })
    }

    /// The object with another value here.
    pub(super) fn set(&self, object: &Value, value: Value) -> Value {
        let mut object = object.clone();
        *self.find(&mut object) = value;
        object
    }

    /// The object without this member.
    pub(super) fn removed(&self, object: &Value) -> Value {
        let mut object = object.clone();
        let (last, parents) = self.0.split_last().unwrap();
        let Step::Member(name) = last else { panic!("{} is no member", self.text()) };
        Self(parents.to_vec()).find(&mut object).as_object_mut().unwrap().remove(name);
        object
    }

    fn find<'a>(&self, object: &'a mut Value) -> &'a mut Value {
        self.0.iter().fold(object, |value, step| match step {
            Step::Member(name) => &mut value[name],
            Step::Item(index) => &mut value[index],
        })
    }
}

/// Calls `visit` with every value of `object` that the schema knows, below `spec`, and its schema.
pub(super) fn walk(object: &Value, visit: &mut dyn FnMut(&Place, &Value, &Value)) {
    let place = Place::default().member("spec");
    visit_all(&place, &object["spec"], &distribution()["properties"]["spec"], visit);
}

fn visit_all(place: &Place, value: &Value, schema: &Value, visit: &mut dyn FnMut(&Place, &Value, &Value)) {
    visit(place, value, schema);
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let known = schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
                assert!(known.is_object(), "{} has no {name}", place.text());
                visit_all(&place.member(name), member, known, visit);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                visit_all(&place.item(index), item, &schema["items"], visit);
            }
        }
        _ => {}
    }
}

/// An object that has every field there is.
pub(super) fn everything(name: &str) -> Value {
    let inline = json!({
        "basedOn": "OriginControlled",
        "ttl": {"min": "1s", "default": "1m", "max": "1h"},
        "key": {
            "headers": {"behavior": "Some", "names": ["Accept-Language"]},
            "cookies": {"behavior": "AllExcept", "names": ["session"]},
            "queryStrings": {"behavior": "Some", "names": ["lang"]},
        },
        "setCookie": "Strip",
        "overrideOriginDirectives": true,
        "honorRequestDirectives": true,
    });
    let behavior = |policy: Value| {
        json!({
            "targetOrigin": "site", "viewerProtocolPolicy": "AllowAll", "allowedMethods": "GetHeadOptions",
            "cachedMethods": "GetHead", "cachePolicy": policy,
        })
    };
    let mut for_paths = behavior(json!({"inline": inline}));
    for_paths["pathPattern"] = json!("/api/*");
    let amounts = json!({"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi"});
    let source = |mut origin: Value| {
        let more = json!({
            "path": "/public", "customHeaders": [{"name": "X-From", "value": "proxima"}], "connectionAttempts": 2,
            "connectionTimeout": "5s", "responseTimeout": "20s", "keepAliveTimeout": "10s",
        });
        origin.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        origin
    };
    json!({
        "apiVersion": "proxima.dev/v1alpha1",
        "kind": "Distribution",
        "metadata": {"name": name},
        "spec": {
            "enabled": true,
            "comment": "everything",
            "aliases": ["shop.example.com"],
            "defaultRootObject": "index.html",
            "origins": [
                source(json!({"name": "site", "http": {
                    "host": "site.example.com", "protocolPolicy": "HttpsOnly", "httpPort": 8080, "httpsPort": 8443,
                    "tls": {"serverName": "site.example.com", "caBundleRef": {"name": "authority", "key": "root.pem"}},
                }})),
                source(json!({"name": "api", "service": {"name": "api", "port": 80}})),
            ],
            "defaultCacheBehavior": behavior(json!({"managed": "CachingOptimized"})),
            "cacheBehaviors": [for_paths],
            "zones": [{"name": "zone-a", "replicas": 1}],
            "edge": {
                "replicasPerZone": 1,
                "cache": {"memory": "64Mi"},
                "resources": {"requests": amounts, "limits": amounts},
                "nodeSelector": {"disk": "ssd"},
                "tolerations": [{
                    "key": "edge", "operator": "Equal", "value": "yes", "effect": "NoExecute", "tolerationSeconds": 60,
                }],
                "podLabels": {"team": "web"},
                "podAnnotations": {"note": "x"},
                "priorityClassName": "high",
                "service": {"type": "ClusterIP", "annotations": {"balancer": "internal"}},
            },
        },
    })
}

/// Properties of the schema that no value of `object` has, so that nothing is left out when a field is added.
pub(super) fn unused(object: &Value) -> Vec<String> {
    let (mut known, mut used) = (Vec::new(), Vec::new());
    walk(object, &mut |place, value, schema| {
        // One behaviour shows one arm of a union, another the other.
        let plain = |place: &Place| {
            let text = place.text().replace("defaultCacheBehavior", "cacheBehaviors");
            text.replace(|byte: char| "[]0123456789".contains(byte), "")
        };
        used.push(plain(place));
        if value.is_object() {
            let properties = schema["properties"].as_object().into_iter().flat_map(|members| members.keys());
            known.extend(properties.map(|name| plain(&place.member(name))));
        }
    });
    known.retain(|name| !used.contains(name));
    known
}

/// Asks the API server what it makes of an object, as strictly as kubectl does. Nothing is stored.
pub(super) struct DryRun {
    client: Client,
    path: String,
}

impl DryRun {
    pub(super) fn new(client: Client, namespace: &str) -> Self {
        let path = format!("/apis/proxima.dev/v1alpha1/namespaces/{namespace}/distributions");
        Self { client, path: format!("{path}?dryRun=All&fieldValidation=Strict") }
    }

    /// The specification as it would be stored, or why not.
    pub(super) async fn create(&self, object: &Value) -> Result<Value, String> {
        let request = Request::post(&self.path).header("Content-Type", "application/json");
        match self.client.request::<Value>(request.body(object.to_string().into_bytes()).unwrap()).await {
            Ok(mut created) => Ok(created["spec"].take()),
            Err(kube::Error::Api(answer)) => Err(answer.message.clone()),
            Err(error) => panic!("{error}"),
        }
    }
}
