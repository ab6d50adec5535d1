//! Measures one stream: the rate of small chunks, the time to the first chunk, and the memory that
//! a slow reader costs.

use std::time::Duration;

use crate::Result;
use crate::cli::Plan;
use crate::contest::{Entrant, Figures, alternate};
use crate::floor::Socket;
use crate::host::{Host, multi_thread};
use crate::load::closed;
use crate::row::{Row, Target};
use crate::run::memory::resident;
use crate::run::{CALLS, rows};

const BENCH: &str = "stream";
/// Bytes of one block of the endless stream.
const BLOCK: usize = 64 * 1024;

pub(crate) fn run(plan: &Plan) -> Result<Vec<Row>> {
    let host = Host::start(multi_thread()?, &plan.pythons.ours, 1)?;
    let mut table = throughput(plan, &host)?;
    table.extend(first_chunk(plan, &host)?);
    table.extend(slow_reader(plan, &host)?);
    Ok(table)
}

/// Measures chunks a second; the floor is a Python process that sends as many 32-byte messages on a
/// socket.
fn throughput(plan: &Plan, host: &Host) -> Result<Vec<Row>> {
    let count = if plan.quick { 200_000 } else { 1_000_000 };
    let mut socket = Socket::start(&plan.pythons.ours, 32)?;
    let ours = || {
        let rate = run_spawned(host, host.caller().chunks(count))?;
        Ok(Figures::from([("rate", rate)]))
    };
    let mut entrants = [Entrant::ours(ours), Entrant::floor(|| socket.flood(count))];
    let series = alternate(plan.rounds, &mut entrants)?;
    let target = [("rate", Target::AtLeast(400e3))];
    Ok(rows((BENCH, "small integers"), &CALLS, &series, &target))
}

/// Measures the latency of the first chunk, beside an echo in the same minute.
fn first_chunk(plan: &Plan, host: &Host) -> Result<Vec<Row>> {
    let echo = || {
        let caller = host.caller();
        let call = move || caller.clone().echo();
        Ok(host
            .runtime()
            .block_on(closed(1, plan.turn, call))?
            .figures())
    };
    let first = || {
        let caller = host.caller();
        let call = move || {
            let caller = caller.clone();
            async move { caller.chunks(1).await.map(drop) }
        };
        Ok(host
            .runtime()
            .block_on(closed(1, plan.turn, call))?
            .figures())
    };
    let mut entrants = [Entrant::ours(first), Entrant::new("echo", echo)];
    let series = alternate(plan.rounds, &mut entrants)?;
    let target = [("p50", Target::PeerAtMost("echo", 2.0))];
    Ok(rows(
        (BENCH, "stream of one chunk, to its end"),
        &CALLS[1..],
        &series,
        &target,
    ))
}

/// Measures the memory of both sides while a reader takes one block a millisecond from an endless
/// stream.
fn slow_reader(plan: &Plan, host: &Host) -> Result<Vec<Row>> {
    let blocks = if plan.quick { 500 } else { 3000 };
    let worker = *host.pids().first().ok_or("there is no worker")?;
    let own = std::process::id();
    let (begin, end) = host.runtime().block_on(async {
        let mut sizes = Vec::new();
        let at = |number| {
            // The first blocks fill buffers that stay allocated.
            if number == 100 || number + 1 == blocks {
                sizes.push(resident(own).and_then(|host| Ok((host, resident(worker)?))));
            }
        };
        host.caller()
            .read_slowly(BLOCK, blocks, Duration::from_millis(1), at)
            .await?;
        let mut sizes = sizes.into_iter();
        let mut next = || sizes.next().ok_or("too few blocks")?;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>((next()?, next()?))
    })?;
    let growth = [("host", end.0 - begin.0), ("worker", end.1 - begin.1)];
    let row = |(side, mib)| {
        let case = format!("endless stream, slow reader, {side}");
        Row::of(BENCH, case, ("rss growth", "MiB"), mib).target(Target::AtMost(4.0))
    };
    Ok(growth.map(row).into())
}

/// Runs a future as a spawned task, as in a program, and not on the blocked main thread.
pub(crate) fn run_spawned<T: Send + 'static>(
    host: &Host,
    future: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn_on(future, host.runtime().handle());
    let joined = host.runtime().block_on(tasks.join_next());
    joined.ok_or("there is one task")??
}
