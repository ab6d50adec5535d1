//! Concurrent large answers: what is the cost of sharing one event loop, and how long does a small
//! call wait for them?

use snakepit::{Bytes, PoolBuilder, Snakepit};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Result;
use crate::cli::Plan;
use crate::contest::{Entrant, Figures, alternate};
use crate::host::{Host, multi_thread};
use crate::row::{Row, Target};
use crate::run::rows;

const BENCH: &str = "large";

/// Number of concurrent answers.
const ANSWERS: usize = 8;

const MIB: usize = 1 << 20;

pub(crate) fn run(plan: &Plan) -> Result<Vec<Row>> {
    let size = if plan.quick { 25 } else { 100 } * MIB;
    let process = Host::with(multi_thread()?, pool(plan))?;
    let slots = u16::try_from(ANSWERS + 1)?;
    let shared = Host::with(multi_thread()?, pool(plan).concurrency(slots))?;
    let mut entrants = [
        Entrant::ours(|| beside(&shared, size)),
        Entrant::new("process", || beside(&process, size)),
    ];
    let series = alternate(plan.rounds, &mut entrants)?;
    let what = format!("{ANSWERS} answers of {} MiB beside each other", size / MIB);
    let loops = format!("{what}, on one event loop");
    let target = [("time", Target::PeerAtMost("process", 1.3))];
    let mut table = rows((BENCH, &loops), &[("time", "ms")], &series, &target);

    let mut entrants = [
        Entrant::ours(|| small(&shared, Some(size))),
        Entrant::new("alone", || small(&shared, None)),
    ];
    let series = alternate(plan.rounds, &mut entrants)?;
    let case = format!("a small call beside them, {} MiB each", size / MIB);
    let metrics = [("p50", "ms"), ("max", "ms")];
    table.extend(rows((BENCH, &case), &metrics, &series, &[]));
    Ok(table)
}

fn pool(plan: &Plan) -> PoolBuilder {
    let tools = format!("{}/profile_tools.py", crate::HOME);
    PoolBuilder::new("bench", tools)
        .python(&plan.pythons.ours)
        .workers(1)
}

/// Requests all answers at once.
fn answers(snakepit: &Snakepit, size: usize) -> JoinSet<Result<()>> {
    let calls = (0..ANSWERS).map(|_| {
        let snakepit = snakepit.clone();
        async move {
            let block: Bytes = snakepit.execute("block", (size,)).await?;
            if block.len() == size {
                Ok(())
            } else {
                Err("an answer has another size".into())
            }
        }
    });
    calls.collect()
}

/// Measures the time until all answers have arrived.
fn beside(host: &Host, size: usize) -> Result<Figures> {
    host.runtime().block_on(async {
        let begin = Instant::now();
        let calls = answers(host.caller().snakepit(), size).join_all().await;
        calls.into_iter().collect::<Result<()>>()?;
        let time = begin.elapsed().as_secs_f64() * 1e3;
        Ok(Figures::from([("time", time)]))
    })
}

/// Measures small calls, one after the other: while large answers are in progress, or a fixed
/// number alone.
fn small(host: &Host, beside: Option<usize>) -> Result<Figures> {
    const ALONE: usize = 200;
    host.runtime().block_on(async {
        let caller = host.caller();
        let mut calls = beside.map(|size| answers(caller.snakepit(), size));
        let mut times = Vec::new();
        loop {
            let begin = Instant::now();
            caller.clone().echo().await?;
            times.push(begin.elapsed().as_secs_f64() * 1e3);
            match &mut calls {
                None if times.len() >= ALONE => break,
                None => {}
                Some(calls) => {
                    while let Some(ended) = calls.try_join_next() {
                        ended??;
                    }
                    if calls.is_empty() {
                        break;
                    }
                }
            }
        }
        times.sort_by(f64::total_cmp);
        let (p50, max) = (times[times.len() / 2], times[times.len() - 1]);
        Ok(Figures::from([("p50", p50), ("max", max)]))
    })
}
