//! Origins that a ConfigMap of the manifest vouches for.

use std::net::SocketAddr;

use proxima_tests::{Authority, Local, wait_until};

fn config_map(authority: &Authority) -> String {
    let pem = authority.pem.replace('\n', "\n    ");
    format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: ours}}\ndata:\n  ca.crt: |\n    {pem}\n")
}

/// A Distribution that stores nothing, in front of an https origin.
fn distribution(origin: SocketAddr) -> String {
    format!(
        "apiVersion: proxima.dev/v1alpha1
kind: Distribution
metadata: {{name: shop}}
spec:
  origins:
    - name: site
      http:
        host: {}
        protocolPolicy: HttpsOnly
        httpsPort: {}
        tls: {{caBundleRef: {{name: ours}}}}
  defaultCacheBehavior: {{targetOrigin: site, cachePolicy: {{managed: CachingDisabled}}}}
  edge:
    resources: {{limits: {{cpu: 2, memory: 1Gi}}}}
    nodeSelector: {{disk: ssd}}
    service: {{type: LoadBalancer}}
",
        origin.ip(),
        origin.port()
    )
}

#[tokio::test]
async fn a_config_map_beside_the_distribution_vouches_for_its_origin_and_is_reloaded_with_it() {
    let (ours, theirs) = (Authority::generate(), Authority::generate());
    let origin = ours.origin("private").await;
    let distribution = distribution(origin.address);
    let mut local = Local::start(&format!("{distribution}{}", config_map(&ours)), &["--zones", "a"]);
    let edge = local.edges(1).await.remove(0);
    let answer = edge.get("/").await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "private"));

    local.edit(&format!("{distribution}{}", config_map(&theirs)));
    wait_until("the edge trusts somebody else", async || match edge.get("/").await.status() {
        502 => Ok(()),
        status => Err(status.to_string()),
    })
    .await;

    let said = local.said().len();
    local.edit(&distribution);
    local.says(said, &["caBundleRef.name", "there is no ConfigMap default/ours; add the ConfigMap to a file"]).await;
}
