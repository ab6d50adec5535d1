//! `snakepit stream`: calls a streaming tool and prints each chunk.

mod writer;

use snakepit::{ResultStream, Value};
use tokio::time::{Instant, sleep_until, timeout};

use crate::call::{read, tool, with_session};
use crate::cli::CallOptions;
use crate::failure::Failure;
use crate::session::with_pool;
use writer::Writer;

/// Time that a reader has for the last chunks after a time-out.
const LAST: std::time::Duration = std::time::Duration::from_millis(100);

const UNREAD: &str = "the output was not read; read it to the end, or raise `--timeout`";

pub(crate) async fn run(options: CallOptions, started: Instant) -> Result<(), Failure> {
    let (workers, arguments) = read(&options)?;
    with_pool(
        workers,
        &options.run.pool,
        (&options.run.telemetry, started),
        async |snakepit, call| {
            let tool = tool(&snakepit, arguments.tool.as_deref())?;
            let call = with_session(call, options.run.session.as_deref());
            let pool = snakepit.default_pool();
            let chunks: ResultStream<Value> = pool
                .call(tool)
                .args(&arguments.value)
                .options(&call)
                .stream()
                .await?;
            let writer = Writer::start()?;
            let end = options.run.pool.timeout.map(|timeout| started + timeout);
            let mut unread = false;
            let result = pass_on(chunks, &writer, end, &mut unread).await;
            match result {
                Err(failure) if failure.is_timeout() => {
                    // A reader that does not read receives no more.
                    let _ = timeout(LAST, writer.end()).await;
                    Err(if unread {
                        failure.help(UNREAD)
                    } else {
                        failure
                    })
                }
                result => writer.end().await.and(result),
            }
        },
    )
    .await
}

/// Passes chunks to the writer until the stream or the writer ends. The error of a time-out arrives
/// even if nothing reads the output.
async fn pass_on(
    mut chunks: ResultStream<Value>,
    writer: &Writer,
    end: Option<Instant>,
    unread: &mut bool,
) -> Result<(), Failure> {
    let up = async || match end {
        Some(end) => sleep_until(end).await,
        None => std::future::pending().await,
    };
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        tokio::select! {
            biased;
            open = writer.put(chunk) => if !open { break },
            () = up() => *unread = true,
        }
        // Yields, so that chunks that are already there do not starve signals and the time-out.
        tokio::task::consume_budget().await;
    }
    Ok(())
}
