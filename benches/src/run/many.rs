//! `execute_many`: how many small items a second go through one worker?

use serde_json::json;

use crate::Result;
use crate::cli::Plan;
use crate::contest::{Entrant, Figures, alternate};
use crate::host::{Host, multi_thread};
use crate::peer::Peer;
use crate::row::{Row, Target};
use crate::run::stream::run_spawned;
use crate::run::{CALLS, rows};

pub(crate) fn run(plan: &Plan) -> Result<Vec<Row>> {
    let mut table = Vec::new();
    for workers in [1, 2] {
        table.extend(contest(plan, workers)?);
    }
    Ok(table)
}

/// Runs the contest. Peers map a function over a range, a thousand items at a time.
fn contest(plan: &Plan, workers: usize) -> Result<Vec<Row>> {
    let count: u64 = if plan.quick { 100_000 } else { 500_000 };
    let host = Host::start(multi_thread()?, &plan.pythons.ours, workers)?;
    let ours = || {
        let rate = run_spawned(&host, host.caller().many(count))?;
        Ok(Figures::from([("rate", rate)]))
    };
    let mut entrants = vec![Entrant::ours(ours)];
    for kind in ["ppe", "loky"] {
        let arguments = [kind.to_owned(), workers.to_string()];
        if let Some(mut peer) = Peer::start(&plan.pythons.peers, "pools.py", &arguments)? {
            let question = json!({"op": "many", "count": count});
            entrants.push(Entrant::new(kind, move || {
                peer.figures(&question, &["rate"])
            }));
        }
    }
    let series = alternate(plan.rounds, &mut entrants)?;
    let targets: &[_] = if workers == 1 {
        &[("rate", Target::AtLeast(200e3))]
    } else {
        &[]
    };
    let case = format!("add of two integers, workers: {workers}");
    Ok(rows(("many", &case), &CALLS, &series, targets))
}
