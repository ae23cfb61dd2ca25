//! `proxima-operator local`: one command, an edge for each zone, and edits that are live at once.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod authorities;
mod edits;
mod start_and_stop;

use proxima_tests::{Local, Origin, Reply};

/// A Distribution in front of the Service `site`, with one line of each part for a test to change.
const MANIFEST: &str = "\
apiVersion: proxima.dev/v1alpha1
kind: Distribution
metadata: {name: shop}
spec:
  origins:
    - name: site
      service: {name: site, port: 80}
  defaultCacheBehavior:
    targetOrigin: site
    cachePolicy: {inline: {ttl: {min: 0s, default: 24h, max: 24h}}}
";

/// Answers with the target that was asked for, and says nothing about storing it.
async fn origin() -> Origin {
    Origin::answering(|head| Reply::ok(head.target().to_owned())).await
}

/// Starts with a manifest whose Service `site` is that origin.
fn start(manifest: &str, origin: &Origin, flags: &[&str]) -> Local {
    let site = format!("site=http://{}", origin.address);
    Local::start(manifest, &[&["--origin", &site], flags].concat())
}
