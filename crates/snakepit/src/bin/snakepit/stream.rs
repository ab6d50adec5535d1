//! `snakepit stream`.

use snakepit::{ResultStream, Value};
use tokio::time::Instant;

use crate::call::{read, tool, with_session};
use crate::cli::CallOptions;
use crate::failure::Failure;
use crate::output;
use crate::session::with_pool;

pub(crate) async fn run(options: CallOptions, started: Instant) -> Result<(), Failure> {
    let (reference, arguments) = read(&options)?;
    with_pool(
        &reference.adapter,
        &options.pool,
        (&options.telemetry, started),
        async |snakepit, call| {
            let tool = tool(&snakepit, arguments.tool.as_deref())?;
            let call = with_session(call, options.session.as_deref());
            let pool = snakepit.default_pool();
            let mut chunks: ResultStream<Value> = pool
                .execute_stream_with(tool, &arguments.value, &call)
                .await?;
            while let Some(chunk) = chunks.next().await {
                // A chunk may hold line breaks, so texts are JSON here too: one line is one chunk.
                output::value(&chunk?, true)?;
                // Chunks that wait already would keep signals and the time-out from being seen.
                tokio::task::consume_budget().await;
            }
            Ok(())
        },
    )
    .await
}
