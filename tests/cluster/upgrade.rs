//! The operator is upgraded, removed and installed again, and viewers do not notice.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use proxima_tests::bed::image_archives;
use proxima_tests::http1::Wire;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::release::{ACCOUNT, NAMESPACE, Release, charts, distribution};
use crate::site::Site;

/// A hundred requests a second.
const PAUSE: Duration = Duration::from_millis(10);

/// Viewers that ask without end, each time on a new connection.
struct Load {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    task: JoinHandle<Vec<String>>,
}

impl Load {
    fn start(to: SocketAddr) -> Self {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&asked));
        let task = tokio::spawn(async move {
            let mut requests = tokio::task::JoinSet::new();
            let mut failures = Vec::new();
            let mut beat = tokio::time::interval(PAUSE);
            while !stopped.load(Ordering::Relaxed) {
                beat.tick().await;
                requests.spawn(ask(to, count.fetch_add(1, Ordering::Relaxed)));
                while let Some(done) = requests.try_join_next() {
                    failures.extend(done.expect("a viewer does not panic").err());
                }
            }
            while let Some(done) = requests.join_next().await {
                failures.extend(done.expect("a viewer does not panic").err());
            }
            failures
        });
        Self { stop, asked, task }
    }

    /// How many were asked, and what failed.
    async fn end(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let failures = self.task.await.expect("the viewers do not panic");
        (self.asked.load(Ordering::Relaxed), failures)
    }
}

/// One in ten asks for what nobody asked for before.
async fn ask(to: SocketAddr, number: usize) -> Result<(), String> {
    let path = if number.is_multiple_of(10) { format!("/new/{number}") } else { "/page".to_owned() };
    let mut wire = Wire::connect(to).await.map_err(|error| format!("{number}: {error}"))?;
    wire.write(format!("GET {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n")).await;
    let head = wire.head().await.ok_or_else(|| format!("{number}: no answer"))?;
    let body = wire.body(head.response_framing("GET")).await;
    let is_right = head.status() == 200 && body.complete && body.bytes == path.as_bytes();
    if is_right { Ok(()) } else { Err(format!("{number}: {}", head.raw)) }
}

/// The chart as its next release might be: another version, another default value, another permission.
fn next_chart(folder: &Path) -> PathBuf {
    let chart = folder.join("next-chart");
    let copied = Command::new("cp").arg("-r").arg(charts().join("proxima")).arg(&chart).status();
    assert!(copied.expect("cp runs").success());
    let change = |file: &str, from: &str, to: &str| {
        let text = fs::read_to_string(chart.join(file)).unwrap();
        assert!(text.contains(from), "{file} has {from}");
        fs::write(chart.join(file), text.replacen(from, to, 1)).unwrap();
    };
    change("Chart.yaml", "version: 0.1.0", "version: 0.1.1");
    change("values.yaml", "zoneGrace: 10m", "zoneGrace: 12m");
    change(
        "templates/clusterrole.yaml",
        "rules:\n",
        "rules:\n  - {apiGroups: [\"\"], resources: [namespaces], verbs: [list]}\n",
    );
    chart
}

/// The same program under another tag, as a new release's image would be.
async fn load_next_image(release: &Release) {
    let archive = image_archives().into_iter().find(|archive| archive.ends_with("operator.tar"));
    let (archive, next) = (archive.expect("it is made"), release.folder().join("operator-next.tar"));
    let script = "import json, sys, tarfile, io\n\
        source, target = tarfile.open(sys.argv[1]), tarfile.open(sys.argv[2], 'w')\n\
        for entry in source:\n\
        \x20   data = source.extractfile(entry).read() if entry.isfile() else b''\n\
        \x20   if entry.name in ('manifest.json', 'index.json', 'repositories'):\n\
        \x20       data = data.replace(b'operator:dev', b'operator:next')\n\
        \x20       entry.size = len(data)\n\
        \x20   target.addfile(entry, io.BytesIO(data))\n\
        target.close()\n";
    let ran = Command::new("python3").args(["-c", script]).args([&archive, &next]).status();
    assert!(ran.expect("python3 runs").success());
    release.load_image(&next);
}

#[tokio::test]
async fn upgrade_removal_and_reinstallation_lose_nothing_and_no_viewer_notices() {
    let mut release = Release::take("upgrade").await;
    if !release.is_ours() {
        eprintln!("skipped: Services of another's cluster cannot be reached from here");
        return;
    }
    load_next_image(&release).await;
    let namespace = &*release.own_namespace("upgrade").await;
    let site = Site { release: &release, namespace, name: "shop" };
    release.start_origin(namespace, "site", 1).await;
    release.apply_in(namespace, &distribution(site.name, &json!({}))).await.ok();
    site.holds("Deployed").await;
    site.holds("Ready").await;
    site.opens("http://shop-edge").await;
    let before: Vec<_> = site.edges().await.iter().map(|edge| edge.identity()).collect();
    let key = release.object(NAMESPACE, "secret", "proxima-operator-link").await;
    let service = release.object(namespace, "service", "shop-edge").await;
    let address = service["spec"]["clusterIP"].as_str().unwrap().parse().unwrap();
    let load = Load::start(SocketAddr::new(address, 80));

    upgrade(&site).await;
    site.change(&json!({"spec": {"comment": "upgraded", "cacheBehaviors": [
        {"pathPattern": "/one/*", "targetOrigin": "site", "cachePolicy": {"managed": "CachingDisabled"}},
    ]}}))
    .await;

    release.helm(&["uninstall", "proxima", "--namespace", NAMESPACE, "--wait"]).await.ok();
    release.helm(&["uninstall", "proxima-crds", "--namespace", "default", "--wait"]).await.ok();
    assert_eq!(site.object().await["spec"]["comment"], "upgraded", "definition and object stay");
    let kept = release.object(NAMESPACE, "secret", "proxima-operator-link").await;
    assert_eq!(key["data"], kept["data"], "and the key that edges know");

    release.install_crds().await;
    release.install(&charts().join("proxima"), &[]).await;
    release.operator_runs().await;
    release.links(u32::try_from(before.len()).unwrap()).await;
    site.change(&json!({"spec": {"cacheBehaviors": null}})).await;
    let (asked, failures) = load.end().await;
    println!("  {asked} requests meanwhile, {} failed", failures.len());
    assert_eq!(failures, [] as [String; 0]);
    let after: Vec<_> = site.edges().await.iter().map(|edge| edge.identity()).collect();
    assert_eq!(before, after, "no edge was replaced or restarted");
}

async fn upgrade(site: &Site<'_>) {
    let release = site.release;
    let may_list = ["auth", "can-i", "list", "namespaces", "--as", ACCOUNT];
    assert_eq!(release.kubectl(&may_list).await.stdout.trim(), "no");
    release.install(&next_chart(release.folder()), &["image.tag=next"]).await;
    release.operator_runs().await;
    release.helm(&["test", "proxima", "--namespace", NAMESPACE]).await.ok();
    let deployment = release.object(NAMESPACE, "deployment", "proxima-operator").await;
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "proxima.test/operator:next");
    assert!(container["args"].to_string().contains("--zone-grace=12m"), "{container:#}");
    assert_eq!(release.kubectl(&may_list).await.stdout.trim(), "yes");
}
