//! Host tools that call tools, which call host tools.

use std::sync::Arc;

use serde::Deserialize;
use snakepit::{HostTool, WeakSnakepit, args};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::sessions::builder;
use crate::support::LONG;

/// Returns a host tool that calls the worker's tool `again`, which calls it back.
pub(crate) fn recursive(whole: &Arc<OnceCell<WeakSnakepit>>) -> HostTool {
    #[derive(Deserialize, schemars::JsonSchema)]
    struct Depth {
        depth: i64,
    }
    let whole = Arc::clone(whole);
    HostTool::asynchronous(
        "again",
        move |context: snakepit::ToolContext, Depth { depth }| {
            let whole = whole.get().and_then(WeakSnakepit::upgrade);
            async move {
                let whole = whole.expect("the host lives");
                let arguments = args! { "depth" => depth - 1 };
                let pid: i64 = whole
                    .call("again")
                    .args(arguments)
                    .options(&context.options())
                    .await?;
                Ok(pid)
            }
        },
    )
    .exposed()
}

#[tokio::test(flavor = "multi_thread")]
async fn host_tools_call_back_into_the_pool() {
    let whole = Arc::new(OnceCell::new());
    let snakepit = builder(3)
        .host_tool(recursive(&whole))
        .start()
        .await
        .unwrap();
    whole.set(snakepit.downgrade()).unwrap();
    let again = |depth: i64| snakepit.execute::<i64>("again", args! { "depth" => depth });
    // Three workers hold three calls, each nested in the one before.
    let pids: Vec<i64> = snakepit
        .workers()
        .iter()
        .map(|it| it.pid.unwrap().into())
        .collect();
    for depth in 0..3 {
        let pid = timeout(LONG, again(depth)).await.unwrap().unwrap();
        assert!(pids.contains(&pid));
    }
    // A fourth call would wait for a slot that only its own callers can free.
    let error = timeout(LONG, again(3)).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("would wait forever"), "{error}");
    // The workers are still usable.
    timeout(LONG, again(2)).await.unwrap().unwrap();
    snakepit.shutdown().await;
}
