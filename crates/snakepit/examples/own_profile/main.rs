//! Workers with a protocol of their own: `cargo run --example own_profile`
#![expect(clippy::print_stdout, reason = "it shows the results")]

mod lines;

use std::error::Error;
use std::sync::Arc;

use serde::Deserialize;
use snakepit::{HostTool, PoolBuilder, PoolConfig, Snakepit, args};

/// Arguments of the host tool.
#[derive(Deserialize, schemars::JsonSchema)]
struct Text {
    text: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/examples/own_profile/worker.py"
    );
    let lines = Arc::new(lines::Lines(script.into()));
    let pool = PoolBuilder::with_factory(PoolConfig::new("lines"), lines).workers(2);
    let shout = HostTool::sync("shout", |_, Text { text }: Text| Ok(text.to_uppercase()));
    let builder = Snakepit::builder().pool(pool).host_tool(shout.exposed());
    let snakepit = builder.start().await?;
    let sum: i64 = snakepit
        .execute("add", args! { "a" => 1, "b" => 2 })
        .await?;
    let ann = snakepit.session("ann");
    let greeting: String = ann.execute("greet", args! { "name" => "Ann" }).await?;
    println!("{sum}, {greeting}");
    snakepit.shutdown().await;
    Ok(())
}
