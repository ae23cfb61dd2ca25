//! The table of hostile inputs against a real edge: status, what becomes of the connection, what the origin saw, and what
//! the edge says of its answer.

use std::collections::{HashMap, HashSet};

use proxima_tests::hostile::{Case, Fate, Recording, cases, observe_answers, passing};
use proxima_tests::http1::Head;
use proxima_tests::{Edge, PATIENCE, wait_until};
use serde_json::Value;

/// Sends an input; gives back the heads of its answers.
async fn check(edge: &Edge, origin: &Recording, case: &Case) -> Result<Vec<Head>, String> {
    let before = origin.origin.requests();
    let (outcome, answers) = observe_answers(edge.http, origin, &case.bytes, PATIENCE).await;
    // An input of which a part reached the origin is over there only when its connection is.
    wait_until("the origin has nothing in progress", async || match origin.origin.in_progress() {
        0 => Ok(()),
        open => Err(format!("{open} in progress after {}", case.name)),
    })
    .await;
    let late = origin.take();
    if outcome != case.expected || !late.is_empty() {
        return Err(format!("{}: expected {:?}, seen {outcome:?} and then {late:?}", case.name, case.expected));
    }
    let reached = origin.origin.requests() - before;
    let known = case.expected.origin.len() + usize::from(outcome.fate == Fate::Open);
    if reached != known && !case.may_reach_in_part {
        return Err(format!("{}: {reached} requests reached the origin, not {known}", case.name));
    }
    Ok(answers)
}

/// What every answer of the edge carries, each once.
const MARKS: [&str; 6] = ["x-cache", "cache-status", "x-proxima-request-id", "x-proxima-zone", "via", "date"];

/// An answer says what became of its request, in the same words as the line in the log.
fn check_marks(head: &Head, log: &HashMap<String, Value>) -> Result<(), String> {
    if let Some(missing) = MARKS.iter().find(|name| head.count(name) != 1) {
        return Err(format!("{missing} is there {} times: {}", head.count(missing), head.raw));
    }
    let id = head.field("x-proxima-request-id").unwrap_or_default();
    let line = log.get(id).ok_or_else(|| format!("no line in the log: {}", head.raw))?;
    let x_cache = format!("{} from proxima", line["result_type"].as_str().unwrap_or_default());
    let own = head.field("x-proxima-reason");
    let agrees = head.field("x-cache") == Some(&x_cache)
        && line["status"] == head.status()
        && own.is_none_or(|reason| line["reason"] == reason)
        && (head.status() < 400 || own.is_some());
    if agrees { Ok(()) } else { Err(format!("the log says {line}, the answer {}", head.raw)) }
}

#[tokio::test]
async fn every_hostile_input_comes_to_what_the_table_says() {
    let origin = Recording::start().await;
    let edge = Edge::serve(&passing(origin.origin.address)).await;
    let mut cases = cases();
    // Those last of which a part may reach the origin, perhaps late: it must not be counted as another's.
    cases.sort_by_key(|case| case.may_reach_in_part);
    let names: HashSet<_> = cases.iter().map(|case| case.name).collect();
    assert!(cases.len() >= 80 && names.len() == cases.len(), "{} inputs, {} names", cases.len(), names.len());
    let (mut wrong, mut answers) = (Vec::new(), Vec::new());
    for case in &cases {
        match check(&edge, &origin, case).await {
            Ok(heads) => answers.extend(heads.into_iter().map(|head| (case.name, head))),
            Err(complaint) => wrong.push(complaint),
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    let log = wait_until("every answer is logged", async || {
        let log = edge.log();
        if log.len() >= answers.len() { Ok(log) } else { Err(format!("{} of {} lines", log.len(), answers.len())) }
    })
    .await;
    let log: HashMap<_, _> =
        log.into_iter().map(|line| (line["request_id"].as_str().unwrap_or_default().to_owned(), line)).collect();
    for (name, head) in &answers {
        if let Err(complaint) = check_marks(head, &log) {
            wrong.push(format!("{name}: {complaint}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), answers.len(), wrong.join("\n"));
    let metrics = edge.metrics().await;
    let refused = cases.iter().filter(|case| case.expected.statuses.iter().any(|&status| status >= 400)).count();
    let counted = metrics.with("proxima_edge_requests_total", &[("status", "4xx")]);
    assert!(counted >= refused as f64, "{counted} of {refused} refusals were counted");
}
