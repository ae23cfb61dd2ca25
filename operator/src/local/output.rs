//! What a run says: results on standard output, everything else on standard error.

use std::fmt::Write as _;
use std::io::{self, Write};

use proxima_crds::conditions::{ConditionType, Reason};
use proxima_crds::v1alpha1::{DistributionStatus, ZoneStatus};
use serde::Serialize;

/// One edge that is ready, as `--output json` says it.
#[derive(Clone, Debug, Serialize)]
pub struct EdgeLine {
    /// `namespace/name`.
    pub distribution: String,
    /// Its zone.
    pub zone: String,
    /// Counts from 0 within the zone.
    pub replica: u32,
    /// Where viewers come in.
    pub url: String,
    /// Where `/livez`, `/readyz` and `/metrics` are.
    pub admin: String,
    /// Process id.
    pub pid: u32,
    /// Revision that it serves.
    pub revision: u64,
}

/// Prints an edge as one line of JSON.
pub fn edge_ready(line: &EdgeLine) {
    let json = serde_json::to_string(line).expect("texts and numbers are plain data");
    print(&format!("{json}\n"));
}

/// Prints what is for people.
pub fn print(text: &str) {
    let mut stdout = io::stdout().lock();
    // A reader that went away has seen enough.
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Hands on a line of an edge.
pub fn edge_line(edge: &str, line: &str) {
    // Without standard error there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "[{edge}] {line}");
}

/// The conditions that changed, one line each: `default/shop: Deployed=False EdgesPending: zone b: …`.
///
/// Waiting before it was ever ready (`was_ready`) is no news: that is what starting looks like.
pub fn transitions(
    name: &str,
    before: Option<&DistributionStatus>,
    now: &DistributionStatus,
    was_ready: bool,
) -> Vec<String> {
    let waiting = [Reason::EdgesPending, Reason::ZonesNotReady];
    let is_news = |reason: &str| was_ready || !waiting.iter().any(|wait| wait.as_str() == reason);
    let known = |kind: &str| before.and_then(|status| status.conditions.iter().find(|known| known.type_ == kind));
    let changed = now.conditions.iter().filter(|condition| {
        known(&condition.type_).is_none_or(|known| {
            (&known.status, &known.reason, &known.message) != (&condition.status, &condition.reason, &condition.message)
        })
    });
    changed
        .filter(|condition| is_news(&condition.reason))
        .map(|condition| {
            format!("{name}: {}={} {}: {}", condition.type_, condition.status, condition.reason, condition.message)
        })
        .collect()
}

/// Whether every condition holds.
pub fn is_ready(status: &DistributionStatus) -> bool {
    status.conditions.iter().all(|condition| condition.status == "True")
}

/// The status of a Distribution as a table. `urls` has the addresses of each zone, by its name.
pub fn table(name: &str, status: &DistributionStatus, urls: &[(String, String)]) -> String {
    let mut text = format!("\n{name}: ");
    for kind in ConditionType::ALL {
        let known = status.conditions.iter().find(|condition| condition.type_ == kind.as_str());
        let value = known.map_or("Unknown", |condition| condition.status.as_str());
        let _ = write!(text, "{kind}={value} ");
    }
    let text_of = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let _ = writeln!(text, "revision {} on {} edges\n", text_of(&status.revision), text_of(&status.edges));
    let mut rows = vec![["ZONE", "READY", "CONFIGURED", "REVISION", "URL"].map(str::to_owned)];
    for zone in &status.zones {
        let ZoneStatus { name, desired, ready, configured, revision } = zone;
        let mut urls = urls.iter().filter(|(zone, _)| zone == name).map(|(_, url)| url.clone());
        let first = urls.next().unwrap_or_default();
        let counts = [format!("{ready}/{desired}"), format!("{configured}/{desired}"), text_of(revision)];
        let [ready, configured, revision] = counts;
        rows.push([name.clone(), ready, configured, revision, first]);
        let empty = String::new;
        rows.extend(urls.map(|url| [empty(), empty(), empty(), empty(), url]));
    }
    text + &aligned(&rows)
}

fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let widths: [usize; N] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        let _ = writeln!(text, "  {}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    text
}

/// What a newcomer can do now. `urls` as in [`table`].
pub fn hints(urls: &[(String, String)], manifest: &str, enabled: bool) -> String {
    let mut text = if enabled {
        tries(urls)
    } else {
        "\nIt is disabled: every request is answered 403 DistributionDisabled.\n".to_owned()
    };
    let _ = writeln!(text, "\nEdit {manifest} while this runs: a change is live on every edge without a restart.");
    text.push_str("An error page names its reason; --access-log shows the details of every request.\n");
    text.push_str("Ctrl-C stops everything.\n");
    text
}

fn tries(urls: &[(String, String)]) -> String {
    let mut text = String::from(
        "\nTry it: the first answer of a zone comes from the origin, the next one, if it may be kept, from its cache.\n\n",
    );
    let mut zones: Vec<&str> = Vec::new();
    for (zone, url) in urls {
        if zones.contains(&zone.as_str()) {
            continue;
        }
        let command = format!("curl -s -o /dev/null -D - {url}/");
        if zones.is_empty() {
            let _ = writeln!(text, "  {command}   # zone {zone}: X-Cache: Miss from proxima");
            let _ = writeln!(text, "  {command}   # again:  X-Cache: Hit from proxima");
        } else {
            let _ = writeln!(text, "  {command}   # zone {zone}: a Miss once, since each zone has a cache of its own");
        }
        zones.push(zone);
    }
    text
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    fn condition(kind: &str, status: &str, reason: Reason, message: &str) -> Condition {
        Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.as_str().to_owned(),
            message: message.to_owned(),
            observed_generation: Some(1),
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
        }
    }

    fn status(conditions: Vec<Condition>) -> DistributionStatus {
        let zone = |name: &str, desired, configured| ZoneStatus {
            name: name.to_owned(),
            desired,
            ready: desired,
            configured,
            revision: Some("3".to_owned()),
        };
        DistributionStatus {
            observed_generation: Some(1),
            conditions,
            revision: Some("3".to_owned()),
            domain_name: None,
            addresses: vec![],
            edges: Some("3/4".to_owned()),
            zones: vec![zone("a", 1, 1), zone("eu-west-1b", 2, 1)],
        }
    }

    fn urls() -> Vec<(String, String)> {
        let url = |zone: &str, port: u16| (zone.to_owned(), format!("http://127.0.0.1:{port}"));
        vec![url("a", 8080), url("eu-west-1b", 8081), url("eu-west-1b", 8082)]
    }

    #[test]
    fn the_table_has_a_row_for_each_edge_of_each_zone() {
        let status = status(vec![condition("Accepted", "True", Reason::Valid, "")]);
        let expected = "
default/shop: Accepted=True Deployed=Unknown Ready=Unknown revision 3 on 3/4 edges

  ZONE        READY  CONFIGURED  REVISION  URL
  a           1/1    1/1         3         http://127.0.0.1:8080
  eu-west-1b  2/2    1/2         3         http://127.0.0.1:8081
                                           http://127.0.0.1:8082
";
        assert_eq!(table("default/shop", &status, &urls()), expected);
    }

    #[test]
    fn only_what_changed_is_told() {
        let deployed = |status: &str, reason| condition("Deployed", status, reason, "zone b");
        let accepted = condition("Accepted", "True", Reason::Valid, "valid");
        let before = status(vec![accepted.clone(), deployed("True", Reason::EdgesCurrent)]);
        let now = status(vec![accepted, deployed("False", Reason::EdgesUnreachable)]);
        assert_eq!(transitions("x/y", Some(&before), &now, true), ["x/y: Deployed=False EdgesUnreachable: zone b"]);
        assert_eq!(transitions("x/y", Some(&now), &now, true), Vec::<String>::new());
    }

    #[test]
    fn waiting_at_the_start_is_no_news() {
        let pending = status(vec![condition("Deployed", "False", Reason::EdgesPending, "")]);
        assert_eq!(transitions("x/y", None, &pending, false), Vec::<String>::new());
        let refused = status(vec![condition("Deployed", "False", Reason::EdgesRefuse, "why")]);
        assert_eq!(transitions("x/y", None, &refused, false), ["x/y: Deployed=False EdgesRefuse: why"]);
    }

    #[test]
    fn the_hints_promise_nothing_of_a_disabled_distribution() {
        let text = hints(&urls(), "shop.yaml", false);
        assert!(text.contains("403 DistributionDisabled") && !text.contains("curl"), "{text}");
    }

    #[test]
    fn the_hints_name_each_zone_once() {
        let text = hints(&urls(), "shop.yaml", true);
        assert_eq!(text.matches("curl").count(), 3, "{text}");
        assert!(text.contains("127.0.0.1:8080/   # zone a: X-Cache: Miss from proxima"), "{text}");
        assert!(!text.contains("8082"), "{text}");
    }
}
