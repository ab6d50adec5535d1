//! Cost of a profile for the calls of the profiled workers, and time to read the stacks of a worker
//! whose tool holds the GIL.

use std::time::Duration;

use snakepit::PoolBuilder;
use snakepit::core::worker::profiling::Profile;
use tokio::time::Instant;

use crate::Result;
use crate::cli::Plan;
use crate::contest::{Entrant, Figures, alternate};
use crate::host::{Host, multi_thread};
use crate::load::closed;
use crate::row::{Row, Target};
use crate::run::{CALLS, rows};

const BENCH: &str = "profiling";

/// Number of workers, each with a call at any time.
const WORKERS: usize = 8;

/// Time limit for the stacks of a worker.
const PATIENCE: Duration = Duration::from_secs(10);

/// Time for which the tool holds the GIL, in seconds.
const HELD: f64 = 2.0;

pub(crate) fn run(plan: &Plan) -> Result<Vec<Row>> {
    let mut table = profiled(plan)?;
    table.push(held(plan)?);
    Ok(table)
}

/// Measures one host, profiled in every other round.
fn profiled(plan: &Plan) -> Result<Vec<Row>> {
    let host = Host::start(multi_thread()?, &plan.pythons.ours, WORKERS)?;
    let round = |profile: Option<&Profile>| -> Result<Figures> {
        let caller = host.caller();
        let pool = caller.snakepit().pool("bench")?;
        host.runtime().block_on(async {
            let handle = match profile {
                Some(profile) => Some(pool.profile_all(profile).await?),
                None => None,
            };
            let call = move || caller.clone().echo();
            let load = closed(WORKERS, plan.turn, call).await?;
            if let Some(handle) = handle {
                let report = handle.stop().await;
                if let Some(worker) = report.unprofiled.first() {
                    return Err(worker.reason.clone().into());
                }
            }
            Ok(load.figures())
        })
    };
    let profile = Profile {
        duration: Duration::from_secs(600),
        ..Profile::default()
    };
    let ours = Entrant::ours(|| round(Some(&profile)));
    let floor = Entrant::floor(|| round(None));
    let series = alternate(plan.rounds, &mut [ours, floor])?;
    let target = [("p50", Target::FloorAtMost(1.02, 0.0))];
    let case = "8 workers at 100 Hz";
    Ok(rows((BENCH, case), &CALLS, &series, &target))
}

/// Measures the longest of several readings of the stacks while C code holds the GIL.
fn held(plan: &Plan) -> Result<Row> {
    let pool = PoolBuilder::new("bench", format!("{}/tools.py", crate::HOME));
    let pool = pool.python(&plan.pythons.ours).workers(1);
    let host = Host::with(multi_thread()?, pool)?;
    let caller = host.caller();
    let longest = host.runtime().block_on(async {
        let pool = caller.snakepit().pool("bench")?;
        let worker = pool
            .workers()
            .first()
            .ok_or("there is a worker")?
            .id
            .clone();
        let holds = caller.snakepit().execute::<()>("hold_gil", (HELD,));
        let looks = async {
            let (mut longest, mut seen) = (Duration::ZERO, 0);
            while seen < 20 {
                let begin = Instant::now();
                let stacks = pool.stacks(&worker, PATIENCE).await;
                let took = begin.elapsed();
                let stacks = stacks.ok_or("the worker told no stacks")?;
                let frames = stacks.threads.iter().flat_map(|thread| &thread.frames);
                if frames.into_iter().any(|frame| frame.function == "hold_gil") {
                    (longest, seen) = (longest.max(took), seen + 1);
                }
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(longest)
        };
        let (held, longest) = tokio::join!(holds, looks);
        held?;
        longest
    })?;
    let row = Row::of(
        BENCH,
        "stack while the GIL is held",
        ("longest", "ms"),
        longest.as_secs_f64() * 1e3,
    );
    Ok(row.target(Target::AtMost(50.0)))
}
