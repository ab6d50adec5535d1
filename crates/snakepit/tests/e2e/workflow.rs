//! The example of a workflow, and its results.

use snakepit::{Snakepit, Value};

use crate::support::pool_of;

#[path = "../../examples/workflow/bills.rs"]
mod bills;

#[tokio::test(flavor = "multi_thread")]
async fn a_session_goes_on_when_its_worker_is_killed() {
    let adapter = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/workflow/bills.py");
    let pool = pool_of("main", adapter).workers(3);
    let snakepit = Snakepit::builder().pool(pool).start().await.unwrap();
    let outcome = bills::workflow(&snakepit).await.unwrap();
    snakepit.shutdown().await;

    let costs = [0.5, 1.5, 0.75, 6.0, 10.0, 6.0];
    assert!((outcome.total - costs.iter().sum::<f64>()).abs() < 1e-9);
    assert_ne!(outcome.workers.0, outcome.workers.1);
    let (here, in_python) = outcome.seen;
    assert_eq!(
        here, in_python,
        "both watchers saw the same, in the same order"
    );
    let numbers: Vec<u64> = here.iter().map(|seen| seen.seq).collect();
    let first = numbers[0];
    assert!(
        numbers.iter().zip(first..).all(|(seq, next)| *seq == next),
        "{numbers:?}"
    );
    let billed: Vec<_> = here
        .iter()
        .filter(|seen| seen.name == "billed")
        .map(|seen| &seen.value)
        .collect();
    let every: Vec<Value> = (1..=6_i64).map(Value::from).collect();
    assert_eq!(billed, every.iter().collect::<Vec<_>>(), "each order once");
    assert_eq!(outcome.reports.len(), 6, "{:?}", outcome.reports);
}
