//! `snakepit demo`: real work on real input, with every result checked in Rust.

mod report;
mod shared;
mod steps;

use std::time::Duration;

use snakepit::{PoolBuilder, Snakepit};
use tokio::time::Instant;

use self::report::Board;
use crate::cli::DemoOptions;
use crate::failure::Failure;
use crate::session::Signals;
use crate::settings;
use crate::telemetry::Exporters;

/// The tools, embedded so that the program works wherever it is installed.
const TOOLS: &str = include_str!("../../../demo/tools.py");

pub(crate) async fn run(options: &DemoOptions) -> Result<(), Failure> {
    settings::refuse("demo")?;
    let mut signals = Signals::new()?;
    let exporters = Exporters::start(&options.telemetry)?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("tools.py");
    std::fs::write(&file, TOOLS)?;
    let adapter = file.to_string_lossy();

    let clock = Instant::now();
    let pool = |name: &str, workers| {
        let pool = PoolBuilder::new(name, adapter.as_ref())
            .workers(workers)
            .call_timeout(Duration::from_secs(60));
        match &options.python.python {
            Some(python) => pool.python(python),
            None => pool,
        }
    };
    let builder = Snakepit::builder()
        .pool(pool("main", options.workers))
        .pool(pool("tally", 1))
        .host_tool(shared::points());
    let start = exporters.of(builder).start();
    let snakepit = tokio::select! {
        snakepit = start => snakepit?,
        number = signals.next() => return Err(Failure::Signal(number)),
    };
    let mut board = Board::new(options.json);
    let workers = snakepit.workers().len();
    board.passed(
        "start",
        format!("{workers} Python workers in 2 pools"),
        clock.elapsed(),
    )?;

    let result = tokio::select! {
        result = steps::all(&snakepit, &mut board) => result,
        number = signals.next() => Err(Failure::Signal(number)),
    };
    let clock = Instant::now();
    snakepit.shutdown().await;
    exporters.end().await;
    result?;
    board.passed("stop", "all workers ended".to_owned(), clock.elapsed())?;
    board.finish()
}
