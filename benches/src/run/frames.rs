//! Measures values of pandas and numpy: frames to a tool and back, beside pickle of such a frame,
//! and a scalar of numpy as a result. The host has record batches, the tool has frames of pandas.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, Float64Array, RecordBatch};
use serde_json::json;
use snakepit::{DataFrame, PoolBuilder, Snakepit};
use tokio::time::Instant;

use crate::Result;
use crate::cli::Plan;
use crate::contest::{Entrant, Figures, alternate};
use crate::host::{Host, multi_thread};
use crate::load::closed;
use crate::peer::Peer;
use crate::row::{Row, Target};
use crate::run::rows;

const ROWS: usize = 1_000_000;
const COLUMNS: usize = 10;

/// Calls of one round at least.
const CALLS: usize = 5;

pub(crate) fn run(plan: &Plan) -> Result<Vec<Row>> {
    let rows_of = if plan.quick { ROWS / 4 } else { ROWS };
    // Both sides need pandas.
    let arguments = ["ppe".to_owned(), "1".to_owned()];
    let python = &plan.pythons.peers;
    let Some(mut peer) = Peer::start(python, "frames.py", &arguments)? else {
        return Ok(Vec::new());
    };
    let tools = format!("{}/frame_tools.py", crate::HOME);
    let pool = PoolBuilder::new("bench", tools).python(python).workers(1);
    let host = Host::with(multi_thread()?, pool)?;
    let batch = batch(rows_of)?;
    let question = json!({"rows": rows_of, "columns": COLUMNS, "calls": CALLS, "seconds": plan.turn.as_secs_f64()});
    let mut entrants = [
        Entrant::ours(|| there_and_back(&host, &batch, plan.turn)),
        Entrant::new("ppe", || peer.figures(&question, &["p50"])),
    ];
    let series = alternate(plan.rounds, &mut entrants)?;
    let case = format!("frame of {rows_of} x {COLUMNS} floats there and back");
    let target = [("p50", Target::PeerAtMost("ppe", 0.25))];
    let mut table = rows(("frames", &case), &[("p50", "ms")], &series, &target);
    table.extend(scalar(plan, &host)?);
    Ok(table)
}

/// Compares a call that returns a scalar of numpy with one that returns a float of Python.
fn scalar(plan: &Plan, host: &Host) -> Result<Vec<Row>> {
    let returned = |tool: &'static str| {
        let caller = host.caller();
        let call = move || {
            let snakepit = caller.snakepit().clone();
            async move {
                let number: f64 = snakepit.execute(tool, ()).await?;
                if number == 0.5 {
                    Ok(())
                } else {
                    Err("the number differs".into())
                }
            }
        };
        let load = host.runtime().block_on(closed(1, plan.turn, call))?;
        Ok(load.figures())
    };
    let mut entrants = [
        Entrant::ours(|| returned("scalar")),
        Entrant::new("float", || returned("number")),
    ];
    let series = alternate(plan.rounds, &mut entrants)?;
    let target = [("p50", Target::PeerAtMost("float", 1.2))];
    let case = "numpy.float64 as a result";
    Ok(rows(("frames", case), &[("p50", "us")], &series, &target))
}

fn batch(rows: usize) -> Result<RecordBatch> {
    let columns = (0..COLUMNS).map(|column| {
        let numbers = (0..rows).map(|row| (row * COLUMNS + column) as f64);
        let numbers: ArrayRef = Arc::new(Float64Array::from_iter_values(numbers));
        (format!("c{column}"), numbers)
    });
    Ok(RecordBatch::try_from_iter(columns)?)
}

/// From record batches to record batches, by way of pandas.
fn there_and_back(host: &Host, batch: &RecordBatch, turn: Duration) -> Result<Figures> {
    host.runtime().block_on(async {
        let snakepit = host.caller().snakepit().clone();
        let begin = Instant::now();
        let mut times = Vec::new();
        while times.len() < CALLS || begin.elapsed() < turn {
            let before = Instant::now();
            let rows = echo(&snakepit, batch).await?;
            times.push(before.elapsed().as_secs_f64() * 1e3);
            if rows != batch.num_rows() {
                return Err("a frame has another number of rows".into());
            }
        }
        times.sort_by(f64::total_cmp);
        Ok(Figures::from([("p50", times[times.len() / 2])]))
    })
}

async fn echo(snakepit: &Snakepit, batch: &RecordBatch) -> Result<usize> {
    let sent = DataFrame::try_from(batch)?;
    let got: DataFrame = snakepit.execute("echo", (sent,)).await?;
    let batches = got.batches()?.collect::<std::result::Result<Vec<_>, _>>()?;
    Ok(batches.iter().map(RecordBatch::num_rows).sum())
}
