//! Large results and arguments on an event loop, and small calls beside them.
//!
//! A small answer waits for at most one part of a large one: `python/tests/test_large_answers.py`
//! tests that with frames, and the benches measure the cost.

use std::cell::Cell;

use futures_util::future::join_all;
use snakepit::{Bytes, HostTool, Snakepit, ToolContext, ToolResult, Value};

use crate::support::{pool_of, root};

const MB: u32 = 8;

async fn start() -> Snakepit {
    let adapter = root().join("crates/snakepit/tests/e2e/large_tools.py");
    let pool = pool_of("main", adapter.to_str().unwrap()).max_payload(32 << 20);
    let echo = HostTool::dynamic_asynchronous("echo", |_: ToolContext, value: Value| async move {
        ToolResult::Ok(value)
    });
    let builder = Snakepit::builder().host_tool(echo.exposed());
    builder.pool(pool.concurrency(16)).start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn they_come_whole_while_small_calls_go_on() {
    let snakepit = start().await;
    let results = join_all((1..=6_u8).map(|fill| {
        let call = snakepit.execute::<Bytes>("data", (MB, fill));
        async move { assert!(call.await.unwrap().as_ref() == vec![fill; (MB << 20) as usize]) }
    }));
    let arguments = join_all((1..=6_u8).map(|fill| {
        let call = snakepit.execute::<bool>("echoed", (MB, fill));
        async move { assert!(call.await.unwrap()) }
    }));
    let answered = Cell::new(0_usize);
    let small = async {
        loop {
            assert_eq!(snakepit.execute::<u32>("small", ()).await.unwrap(), 1);
            answered.set(answered.get() + 1);
        }
    };
    tokio::select! {
        () = small => unreachable!("it goes on for ever"),
        _ = futures_util::future::join(results, arguments) => {}
    }
    assert!(answered.get() > 0);
    snakepit.shutdown().await;
}
