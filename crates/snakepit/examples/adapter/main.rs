//! An adapter around Python workers: `cargo run --features command --example adapter`
#![expect(clippy::print_stdout, reason = "it shows the results")]

mod images;

use std::error::Error;
use std::sync::Arc;

use snakepit::{PoolBuilder, Snakepit};

use images::{Images, Scale, Scaled};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let tools = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/adapter/multiply.py");
    let adapter = Arc::new(Images { worker: Vec::new() });
    let pool = PoolBuilder::new("main", tools).adapted(adapter);
    let snakepit = Snakepit::builder().pool(pool).start().await?;
    let (width, percent) = (640, 50);
    let half: Scaled = snakepit
        .execute("multiply", Scale { width, percent })
        .await?;
    println!("{}", half.width);
    let wrong = Scale { width, percent: 0 };
    let error = snakepit.execute::<Scaled>("multiply", wrong).await;
    println!(
        "{}",
        error
            .err()
            .map_or_else(String::new, |error| error.to_string())
    );
    snakepit.shutdown().await;
    Ok(())
}
