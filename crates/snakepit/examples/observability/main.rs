//! Metrics for Prometheus and traces for a collector: `cargo run --example observability -p
//! snakepit --features full`
//!
//! Traces, metrics and logs go to the collector of `OTEL_EXPORTER_OTLP_ENDPOINT`, or to
//! `http://localhost:4317`. Without a collector the program still works, and logs one warning. It
//! ends after 20 seconds, or with Ctrl-C; `--once` makes one round.
#![expect(clippy::print_stdout, reason = "it shows what it does")]

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use snakepit::{HostTool, OtlpConfig, PoolBuilder, Snakepit, Telemetry, TelemetryConfig, args};
use tokio::time::{Instant, interval};

const TIME: Duration = Duration::from_secs(20);

#[derive(Deserialize, JsonSchema)]
struct Item {
    name: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut config = TelemetryConfig::new();
    config.otlp = Some(OtlpConfig::default());
    config.prometheus = Some(SocketAddr::from(([127, 0, 0, 1], 9464)).into());
    config.service_name = "observability".to_owned();
    // With OTEL_EXPORTER_PROMETHEUS_PORT=0 the system selects a free port.
    config.change_by_env()?;
    let telemetry = Telemetry::builder().config(config).start()?;
    if let Some(address) = telemetry.prometheus_address() {
        println!("metrics: http://{address}/metrics");
    }

    let adapter = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/examples/observability/tools.py"
    );
    let price = |_, item: Item| Ok(item.name.len() as f64 * 1.5);
    let snakepit = Snakepit::builder()
        .pool(PoolBuilder::new("main", adapter).workers(2))
        .host_tool(HostTool::sync("price", price).exposed())
        .telemetry(&telemetry)
        .start()
        .await?;
    let end = snakepit.run_as_script(rounds(&snakepit)).await?;
    let report = telemetry.shutdown().await;
    println!("exported {}, dropped {}", report.exported, report.dropped);
    if let Some(calls) = end.output {
        println!("{calls} calls");
    }
    Ok(())
}

/// Calls tools that succeed, tools that fail, and tools that emit telemetry of their own. Returns
/// the number of calls.
async fn rounds(snakepit: &Snakepit) -> u64 {
    let once = std::env::args().any(|argument| argument == "--once");
    let (start, mut calls) = (Instant::now(), 0);
    let mut again = interval(Duration::from_millis(200));
    loop {
        again.tick().await;
        let cart = ["tea", "bread", "a rather long name"];
        let total = snakepit.execute::<f64>("total", args! { "cart" => cart });
        let failing = snakepit.execute::<f64>("total", args! { "cart" => [""] });
        let (total, failing) = tokio::join!(total, failing);
        calls += 2;
        if let (Ok(total), Err(error)) = (total, failing) {
            println!("total {total}, and as it should be: {}", error.code());
        }
        if once || start.elapsed() >= TIME {
            return calls;
        }
    }
}
