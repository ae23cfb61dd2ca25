//! The table of hostile inputs against a real edge: status, what becomes of the connection, and what the origin saw.

use std::collections::HashSet;

use proxima_tests::hostile::{Case, Fate, Recording, cases, observe, passing};
use proxima_tests::{Edge, PATIENCE, wait_until};

async fn check(edge: &Edge, origin: &Recording, case: &Case) -> Result<(), String> {
    let before = origin.origin.requests();
    let outcome = observe(edge.http, origin, &case.bytes, PATIENCE).await;
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
    Ok(())
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
    let mut wrong = Vec::new();
    for case in &cases {
        if let Err(complaint) = check(&edge, &origin, case).await {
            wrong.push(complaint);
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    let metrics = edge.metrics().await;
    let refused = cases.iter().filter(|case| case.expected.statuses.contains(&400)).count();
    let counted = metrics.with("proxima_edge_requests_total", &[("status", "4xx")]);
    assert!(counted >= refused as f64, "{counted} of {refused} refusals were counted");
}
