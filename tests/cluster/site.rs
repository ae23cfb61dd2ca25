//! One Distribution with its edges, and viewers in the cluster that ask them.

use std::fs;

use proxima_tests::bed::cluster::Fetched;
use serde_json::Value;

use crate::release::{Release, eventually};

/// A Distribution in a namespace, whose origin `site` also plays its viewers.
pub(crate) struct Site<'a> {
    pub(crate) release: &'a Release,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
}

/// A pod of an edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EdgePod {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) zone: String,
    pub(crate) node: String,
    pub(crate) address: String,
    pub(crate) restarts: u64,
    pub(crate) ready: bool,
}

/// A condition of an object as `(status, reason, message)`, of its newest generation.
pub(crate) fn condition(object: &Value, kind: &str) -> Option<(String, String, String)> {
    let generation = &object["metadata"]["generation"];
    let conditions = object["status"]["conditions"].as_array()?;
    let found = conditions.iter().find(|one| one["type"] == kind && &one["observedGeneration"] == generation)?;
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    Some((text("status"), text("reason"), text("message")))
}

impl Site<'_> {
    /// The object.
    pub(crate) async fn object(&self) -> Value {
        self.release.object(self.namespace, "distribution", self.name).await
    }

    /// Waits until a condition of the newest generation is True.
    pub(crate) async fn holds(&self, kind: &str) -> Value {
        self.shows(&format!("{} is {kind}", self.name), |object| {
            condition(object, kind).is_some_and(|(status, ..)| status == "True")
        })
        .await
    }

    /// Waits until the object is as `is` says.
    pub(crate) async fn shows(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        eventually(what, async || {
            let object = self.object().await;
            if is(&object) { Ok(object) } else { Err(format!("{:#}", object["status"])) }
        })
        .await
    }

    /// Changes the object and waits until every edge has the change.
    pub(crate) async fn change(&self, patch: &Value) -> Value {
        self.release.patch(self.namespace, self.name, patch).await;
        self.holds("Deployed").await
    }

    /// Its edges that stay, by name.
    pub(crate) async fn edges(&self) -> Vec<EdgePod> {
        let label = format!("proxima.dev/distribution={}", self.name);
        let mut pods = self.release.objects(self.namespace, "pods", &label).await;
        pods.retain(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        let mut edges: Vec<_> = pods.iter().map(EdgePod::read).collect();
        edges.sort_by(|one, other| one.name.cmp(&other.name));
        edges
    }

    /// The URL of one zone's Service, up to the path.
    pub(crate) async fn zone_url(&self, zone: &str) -> String {
        let label = format!("proxima.dev/distribution={},proxima.dev/zone={zone}", self.name);
        let services = self.release.objects(self.namespace, "services", &label).await;
        assert_eq!(services.len(), 1, "one Service for zone {zone}: {services:#?}");
        let name = services[0]["metadata"]["name"].as_str().unwrap();
        format!("http://{name}.{}.svc.cluster.local", self.namespace)
    }

    /// Waits until a Service leads to edges: kube-proxy hears of a Pod that is ready a moment after the operator has. The
    /// probe is a request that an edge refuses itself, so that neither cache nor origin sees it.
    pub(crate) async fn opens(&self, base: &str) {
        let url = format!("{base}/%00");
        let ask = ["exec", "-n", self.namespace, "deployment/site", "--", "/proxima-test-origin", "get", &url, "1"];
        eventually(&format!("{base} leads to an edge"), async || {
            let ran = self.release.kubectl(&ask).await;
            if ran.status.success() { Ok(()) } else { Err(ran.stderr) }
        })
        .await;
    }

    /// Asks from within the cluster, each time on a new connection.
    pub(crate) async fn get(&self, url: &str, times: usize) -> Vec<Fetched> {
        self.release.fetch(self.namespace, "site", url, times).await
    }

    /// What two requests in a row for a path are to one edge.
    pub(crate) async fn twice(&self, edge: &EdgePod, path: &str) -> Vec<String> {
        let url = format!("http://{}:8080{path}", edge.address);
        self.get(&url, 2).await.iter().map(x_cache).collect()
    }

    /// How many requests the origin was asked.
    pub(crate) async fn origin_requests(&self) -> u64 {
        let stats = &self.get("http://site/stats", 1).await[0];
        serde_json::from_str::<Value>(&stats.body).unwrap()["requests"].as_u64().unwrap()
    }
}

/// A word that tells how an answer came about; every answer of these tests is a 200.
pub(crate) fn x_cache(answer: &Fetched) -> String {
    assert_eq!(answer.status, 200, "{answer:#?}");
    let field = answer.field("x-cache").unwrap_or_default();
    field.split(' ').next().unwrap_or_default().to_owned()
}

impl EdgePod {
    fn read(pod: &Value) -> Self {
        let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
        Self {
            name: text("/metadata/name"),
            uid: text("/metadata/uid"),
            zone: text("/metadata/labels/proxima.dev~1zone"),
            node: text("/spec/nodeName"),
            address: text("/status/podIP"),
            restarts: pod["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap_or_default(),
            ready: conditions.iter().any(|one| one["type"] == "Ready" && one["status"] == "True"),
        }
    }

    /// What must stay the same as long as nobody has a reason to touch it.
    pub(crate) fn identity(&self) -> (String, u64) {
        (self.uid.clone(), self.restarts)
    }

    /// Its process.
    pub(crate) fn process(&self) -> u32 {
        process("/proxima-edge", &self.name).unwrap_or_else(|| panic!("no process of {} runs here", self.name))
    }
}

/// The process that runs a program in a pod, as this machine numbers it: the containers of a cluster of ours run here.
pub(crate) fn process(program: &str, pod: &str) -> Option<u32> {
    let named = format!("HOSTNAME={pod}");
    let is_it = |pid: u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let runs = command.split(|byte| *byte == 0).any(|one| one == program.as_bytes());
        runs && environment.split(|byte| *byte == 0).any(|one| one == named.as_bytes())
    };
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let mut pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.find(|pid| is_it(*pid))
}
