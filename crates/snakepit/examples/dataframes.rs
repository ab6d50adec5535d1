//! Data frames between arrow-rs and pandas, polars and pyarrow: `cargo run --example dataframes
//! --features arrow`. The interpreter needs these libraries; `SNAKEPIT_PYTHON` names one.
#![expect(clippy::print_stdout, reason = "it shows what came back")]

use std::error::Error;
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use arrow_schema::ArrowError;
use schemars::JsonSchema;
use serde::Deserialize;
use snakepit::{
    DataFrame, HostTool, NewVariable, PoolBuilder, Snakepit, ToolResult, Value, VariableType, args,
};

/// Arguments of the host tool.
#[derive(Deserialize, JsonSchema)]
struct Rates {
    symbols: DataFrame,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let adapter = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/dataframes.py");
    for line in run(PoolBuilder::new("main", adapter)).await? {
        println!("{line}");
    }
    Ok(())
}

/// Runs all of the example in a pool. Returns the lines to show.
pub(crate) async fn run(pool: PoolBuilder) -> Result<Vec<String>, Box<dyn Error>> {
    let rates = HostTool::sync("rates", |_, args: Rates| rates(&args.symbols)).exposed();
    let snakepit = Snakepit::builder()
        .pool(pool)
        .host_tool(rates)
        .start()
        .await?;
    let shown = trades_of(&snakepit).await;
    snakepit.shutdown().await;
    shown
}

async fn trades_of(snakepit: &Snakepit) -> Result<Vec<String>, Box<dyn Error>> {
    let trades = table("price", &[("ants", 2.0), ("bees", 5.0), ("ants", 4.0)])?;
    let frame = DataFrame::try_from(&trades)?;
    let mut lines = Vec::new();

    // A result is what the tool has returned, here a frame of pandas.
    let got: DataFrame = snakepit
        .execute("means", args! { "trades" => &frame })
        .await?;
    lines.push(format!("means ({}): {}", got.kind(), shown(&got)?));

    // The tool asks the host for rates, and gets them as a frame.
    let got: DataFrame = snakepit
        .execute("in_currency", args! { "trades" => &frame })
        .await?;
    lines.push(format!(
        "in another currency ({}): {}",
        got.kind(),
        shown(&got)?
    ));

    // Each chunk of a stream is a frame; the batches of all of them come one after the other.
    let arguments = args! { "trades" => &frame, "rows" => 2 };
    let stream = snakepit
        .execute_stream::<DataFrame>("in_parts", arguments)
        .await?;
    let mut batches = stream.record_batches();
    while let Some(batch) = batches.next().await {
        lines.push(format!("a part of {} rows", batch?.num_rows()));
    }

    // A session keeps a frame for the tools that run in it.
    let session = snakepit.session("market");
    let variable = NewVariable::new("trades", VariableType::DataFrame, frame);
    session.state()?.register(variable)?;
    let last: Value = session.execute("last_trade", ()).await?;
    lines.push(format!("the last trade: {last}"));
    Ok(lines)
}

/// The host's own tool: a rate for each symbol.
fn rates(symbols: &DataFrame) -> ToolResult<DataFrame> {
    let mut rates = Vec::new();
    for batch in symbols.batches()? {
        let batch = batch?;
        // The texts of polars have 64-bit offsets.
        let names = batch.column(0).as_string::<i64>().iter().flatten();
        rates.extend(names.map(|name| (name.to_owned(), if name == "ants" { 0.5 } else { 2.0 })));
    }
    Ok(DataFrame::try_from(&table("rate", &rates)?)?)
}

/// A record batch of symbols and numbers.
fn table<S: AsRef<str>>(name: &str, rows: &[(S, f64)]) -> Result<RecordBatch, ArrowError> {
    let symbols = StringArray::from_iter_values(rows.iter().map(|(symbol, _)| symbol));
    let numbers = Float64Array::from_iter_values(rows.iter().map(|(_, number)| *number));
    let columns: [(_, ArrayRef); 2] = [("symbol", Arc::new(symbols)), (name, Arc::new(numbers))];
    RecordBatch::try_from_iter(columns)
}

/// The rows as JSON.
fn shown(frame: &DataFrame) -> Result<String, Box<dyn Error>> {
    Ok(Value::from(frame.clone()).json_text()?.to_string())
}
