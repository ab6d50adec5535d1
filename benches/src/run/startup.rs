//! The start of N bare workers: how long does it take, beside starting as many interpreters that do
//! nothing?

use serde_json::json;
use tokio::time::Instant;

use crate::Result;
use crate::cli::Plan;
use crate::contest::{Entrant, Figures, alternate};
use crate::floor::starts;
use crate::host::{Host, multi_thread};
use crate::peer::Peer;
use crate::row::{Row, Target};
use crate::run::rows;

pub(crate) fn run(plan: &Plan) -> Result<Vec<Row>> {
    let counts: &[usize] = if plan.quick { &[8, 32] } else { &[8, 32, 100] };
    let mut table = Vec::new();
    for count in counts {
        table.extend(contest(plan, *count)?);
    }
    Ok(table)
}

fn contest(plan: &Plan, count: usize) -> Result<Vec<Row>> {
    let python = &plan.pythons.ours;
    // The default of `PoolConfig::start_concurrency`.
    let parallel = std::thread::available_parallelism()?.get().min(8);
    let ours = || {
        let runtime = multi_thread()?;
        let begin = Instant::now();
        let host = Host::start(runtime, python, count)?;
        let ready = begin.elapsed().as_secs_f64();
        drop(host);
        Ok(Figures::from([("ready", ready)]))
    };
    let floor = || starts(python, count, parallel);
    let mut entrants = vec![Entrant::ours(ours), Entrant::floor(floor)];
    for kind in ["ppe", "ppe-spawn"] {
        let arguments = [kind, "1"];
        if let Some(mut peer) = Peer::start(&plan.pythons.peers, "pools.py", &arguments)? {
            let question = json!({"op": "start", "workers": count});
            entrants.push(Entrant::new(kind, move || {
                peer.figures(&question, &["ready"])
            }));
        }
    }
    let series = alternate(plan.rounds, &mut entrants)?;
    // One and a half times the interpreters alone, and 10 ms for each worker.
    let target = [("ready", Target::FloorAtMost(1.5, 0.01 * count as f64))];
    let case = format!("{count} bare workers ready");
    Ok(rows(
        ("startup", &case),
        &[("ready", "s")],
        &series,
        &target,
    ))
}
