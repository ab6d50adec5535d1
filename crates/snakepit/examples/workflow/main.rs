//! A workflow with sessions, variables and functions that Python calls: `cargo run --example
//! workflow`
#![expect(clippy::print_stdout, reason = "it shows how it ended")]

mod bills;

use std::error::Error;

use snakepit::{PoolBuilder, Snakepit};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let adapter = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/workflow/bills.py");
    let pool = PoolBuilder::new("main", adapter).workers(3);
    let snakepit = Snakepit::builder().pool(pool).start().await?;
    let outcome = bills::workflow(&snakepit).await;
    snakepit.shutdown().await;
    let outcome = outcome?;
    println!("total {:.2}", outcome.total);
    let (killed, went_on) = outcome.workers;
    println!("worker {killed} was killed, worker {went_on} continued");
    let (here, in_python) = outcome.seen;
    println!(
        "{} changes seen here, {} in Python, the same: {}",
        here.len(),
        in_python.len(),
        here == in_python
    );
    for line in outcome.reports {
        println!("reported: {line}");
    }
    Ok(())
}
