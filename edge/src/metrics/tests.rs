use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use http::{Method, StatusCode, Version};
use proxima_edge_core::request::Scheme;
use proxima_edge_core::timestamp::Timestamp;

use super::*;

fn record(reason: Reason, status: Option<u16>) -> AccessRecord {
    AccessRecord {
        at: Timestamp::from_millis(0),
        request_id: String::new(),
        peer: SocketAddr::from(([127, 0, 0, 1], 1)),
        scheme: Scheme::Http,
        version: Version::HTTP_11,
        method: Method::GET,
        host: String::new(),
        path: String::new(),
        query: None,
        user_agent: None,
        referer: None,
        distribution: None,
        behavior: None,
        status: status.map(|code| StatusCode::from_u16(code).unwrap()),
        reason,
        not_stored: None,
        detail: None,
        content_type: None,
        body_bytes: 10,
        request_body_bytes: 1,
        time_to_first_byte: None,
        time_taken: Duration::from_micros(700),
        origin_first_byte: None,
        aborted: false,
    }
}

/// Everything occurs once, so that every series is in the text.
fn all() -> String {
    let metrics = Metrics::new();
    for reason in Reason::ALL {
        for status in [None, Some(101), Some(200), Some(301), Some(404), Some(504)] {
            metrics.request_done(&record(*reason, status));
        }
        metrics.origin_error(*reason);
    }
    NotStored::ALL.iter().for_each(|&reason| metrics.not_stored(reason));
    LinkRefusalReason::ALL.into_iter().for_each(|reason| metrics.link_refused(reason));
    Closed::ALL.into_iter().for_each(|how| metrics.connection_closed(how));
    metrics.to_text()
}

fn family(sample: &str) -> &str {
    let name = sample.split(['{', ' ']).next().unwrap();
    ["_total", "_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name)
}

#[test]
fn every_metric_has_our_prefix_and_a_help_text() {
    let text = all();
    let mut helped = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|line| line.split_once(' ')) {
            assert!(help.len() > 10, "{line}");
            assert!(helped.insert(name, help).is_none(), "registered twice: {name}");
        }
    }
    let families: BTreeSet<&str> = text.lines().filter(|line| !line.starts_with('#')).map(family).collect();
    assert!(families.iter().all(|name| name.starts_with("proxima_edge_")), "{families:?}");
    assert_eq!(families, helped.keys().copied().collect(), "samples and help texts name the same metrics");
}

#[test]
fn every_reason_is_counted_under_its_name() {
    let text = all();
    for reason in Reason::ALL {
        let (result, reason) = (reason.result_type().as_str(), reason.as_str());
        for status in STATUS_CLASSES {
            let line = format!(
                "proxima_edge_requests_total{{result=\"{result}\",reason=\"{reason}\",status=\"{status}\"}} 1\n"
            );
            assert!(text.contains(&line), "{line}");
        }
        assert!(text.contains(&format!("proxima_edge_origin_errors_total{{reason=\"{reason}\"}} 1\n")), "{reason}");
    }
    let by_reason = |name: &str, reasons: &[&str]| {
        for reason in reasons {
            assert!(text.contains(&format!("proxima_edge_{name}_total{{reason=\"{reason}\"}} 1\n")), "{name} {reason}");
        }
    };
    by_reason("not_stored", &NotStored::ALL.iter().map(|reason| reason.as_str()).collect::<Vec<_>>());
    by_reason("link_refusals", &LinkRefusalReason::ALL.map(LinkRefusalReason::as_str));
    by_reason("connections_closed", &Closed::ALL.map(Closed::as_str));
}

#[test]
fn result_types_are_in_the_order_of_their_numbers() {
    for (index, result) in ResultType::ALL.into_iter().enumerate() {
        assert_eq!(result as usize, index);
    }
    for (index, reason) in Reason::ALL.iter().enumerate() {
        assert_eq!(*reason as usize, index);
    }
}

#[test]
fn durations_fall_into_buckets_whose_bounds_are_inclusive() {
    let metrics = Metrics::new();
    for micros in [1_000, 1_001, 200_000_000] {
        let time_taken = Duration::from_micros(micros);
        metrics.request_done(&AccessRecord { time_taken, ..record(Reason::Hit, Some(200)) });
    }
    let text = metrics.to_text();
    for line in [
        "proxima_edge_request_duration_seconds_bucket{le=\"0.0005\",result=\"Hit\"} 0\n",
        "proxima_edge_request_duration_seconds_bucket{le=\"0.001\",result=\"Hit\"} 1\n",
        "proxima_edge_request_duration_seconds_bucket{le=\"0.0025\",result=\"Hit\"} 2\n",
        "proxima_edge_request_duration_seconds_bucket{le=\"120.0\",result=\"Hit\"} 2\n",
        "proxima_edge_request_duration_seconds_bucket{le=\"+Inf\",result=\"Hit\"} 3\n",
        "proxima_edge_request_duration_seconds_count{result=\"Hit\"} 3\n",
        "proxima_edge_sent_body_bytes_total 30\n",
        "proxima_edge_received_body_bytes_total 3\n",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn closed_sets_are_there_from_the_start() {
    let text = Metrics::new().to_text();
    for line in [
        "proxima_edge_link_refusals_total{reason=\"WrongPin\"} 0\n",
        "proxima_edge_not_stored_total{reason=\"NoStore\"} 0\n",
        "proxima_edge_connections_closed_total{reason=\"HeadTimeout\"} 0\n",
        "proxima_edge_origin_errors_total{reason=\"OriginDnsError\"} 0\n",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.contains("origin_errors_total{reason=\"Hit\"}"));
}
