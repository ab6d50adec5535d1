//! Many concurrent asynchronous calls on one worker.

use std::collections::HashSet;

use futures_util::future::join_all;
use snakepit::{Error, HostTool, PoolBuilder, Snakepit, ToolContext, ToolResult, Value, args};
use tokio::time::timeout;

use crate::support::{LONG, pool_of, root};

const CALLS: u16 = 1000;

fn pool() -> PoolBuilder {
    let adapter = root().join("python/tests/async_adapter.py:Adapter");
    pool_of("main", adapter.to_str().unwrap()).concurrency(CALLS)
}

async fn start() -> Snakepit {
    let echo = HostTool::dynamic_asynchronous("echo", |_: ToolContext, value: Value| async move {
        ToolResult::Ok(value)
    });
    let builder = Snakepit::builder().host_tool(echo.exposed());
    builder.pool(pool()).start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_calls_overlap_on_one_worker() {
    let snakepit = start().await;
    assert_eq!(snakepit.status()[0].slots, usize::from(CALLS));
    let calls = (0..CALLS).map(|_| snakepit.execute::<i64>("meet", args! { "parties" => CALLS }));
    for most in timeout(LONG, join_all(calls)).await.unwrap() {
        assert_eq!(most.unwrap(), i64::from(CALLS));
    }
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_takes_its_own_call_along_only() {
    let snakepit = start().await;
    let waiting = |index: u32| {
        let snakepit = snakepit.session(format!("s{index}"));
        async move { snakepit.execute::<()>("waits", ()).await }
    };
    let others = join_all((0..99).map(waiting));
    tokio::select! {
        _ = others => panic!("they wait for ever"),
        () = async {
            {
                let mut gone = Box::pin(waiting(99));
                // Once another call is answered, this one has been sent.
                tokio::select! {
                    _ = &mut gone => panic!("it waits for ever"),
                    sum = snakepit.execute::<i64>("add", args! { "x" => 1 }) => assert_eq!(sum.unwrap(), 2),
                }
            }
            let mut tick = tokio::time::interval(std::time::Duration::from_millis(1));
            loop {
                tick.tick().await;
                let closed: Vec<String> = snakepit.execute("what_closed", ()).await.unwrap();
                if !closed.is_empty() {
                    assert_eq!(closed, ["s99"]);
                    break;
                }
            }
        } => {}
    }
    let status = &snakepit.status()[0];
    assert_eq!(status.stops.kill, 0);
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_has_one_outcome_when_the_worker_dies() {
    let snakepit = start().await;
    let pid = snakepit.workers()[0].pid.unwrap();
    let calls = (0..CALLS).map(|_| snakepit.execute::<()>("waits", ()));
    let (ends, ()) = tokio::join!(timeout(LONG, join_all(calls)), async {
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(1));
        while snakepit.status()[0].in_flight < usize::from(CALLS) {
            tick.tick().await;
        }
        let pid = nix::unistd::Pid::from_raw(pid.cast_signed());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    });
    let ends = ends.unwrap();
    assert_eq!(ends.len(), usize::from(CALLS));
    for end in ends {
        assert!(matches!(end, Err(Error::WorkerDied { .. })), "{end:?}");
    }
    // Another worker has taken its place.
    let sum: i64 = snakepit.execute("add", args! { "x" => 1 }).await.unwrap();
    assert_eq!(sum, 2);
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_of_a_stream_does_not_stop_the_others() {
    let snakepit = start().await;
    let arguments = args! { "to" => 2000, "size" => 1000 };
    let mut slow = snakepit
        .execute_stream::<(i64, String)>("count", arguments)
        .await
        .unwrap();
    assert_eq!(slow.next().await.unwrap().unwrap().0, 0);
    // The stream is not read from here on.
    let sums = (0..300).map(|x| snakepit.execute::<i64>("add", args! { "x" => x }));
    for (x, sum) in timeout(LONG, join_all(sums))
        .await
        .unwrap()
        .into_iter()
        .enumerate()
    {
        assert_eq!(sum.unwrap(), x as i64 + 1);
    }
    for expected in 1..2000 {
        assert_eq!(slow.next().await.unwrap().unwrap().0, expected);
    }
    assert!(slow.next().await.is_none());

    let streams = (0..50).map(|_| async {
        let arguments = args! { "to" => 100 };
        let mut stream = snakepit
            .execute_stream::<(i64, String)>("count", arguments)
            .await
            .unwrap();
        for expected in 0..100 {
            assert_eq!(stream.next().await.unwrap().unwrap().0, expected);
        }
        assert!(stream.next().await.is_none());
    });
    timeout(LONG, join_all(streams)).await.unwrap();
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn coroutines_and_threads_ask_the_host_at_once() {
    let snakepit = start().await;
    let asks = (0..100).map(|x| {
        let tool = if x % 10 == 0 {
            "asks_on_a_thread"
        } else {
            "asks"
        };
        snakepit.execute::<Value>(tool, args! { "x" => x })
    });
    let answers = timeout(LONG, join_all(asks)).await.unwrap();
    let texts: HashSet<_> = answers
        .into_iter()
        .map(|answer| format!("{:?}", answer.unwrap()))
        .collect();
    assert_eq!(texts.len(), 100);
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_see_their_own_context() {
    let snakepit = start().await;
    let calls = (1..=100).map(|session: u32| {
        let snakepit = snakepit.session(session.to_string());
        async move {
            let arguments = args! { "steps" => 5 };
            snakepit.execute::<Vec<String>>("who", arguments).await
        }
    });
    let seen = timeout(LONG, join_all(calls)).await.unwrap();
    for (session, seen) in (1..=100).zip(seen) {
        assert_eq!(seen.unwrap(), vec![session.to_string(); 10]);
    }
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_blocks_the_loop_makes_the_others_late_and_not_wrong() {
    let snakepit = start().await;
    let blocking = snakepit.execute::<()>("blocks_for", args! { "seconds" => 0.3 });
    let sums = (0..50).map(|x| snakepit.execute::<i64>("add", args! { "x" => x }));
    let (blocked, sums) = timeout(LONG, async { tokio::join!(blocking, join_all(sums)) })
        .await
        .unwrap();
    blocked.unwrap();
    for (x, sum) in sums.into_iter().enumerate() {
        assert_eq!(sum.unwrap(), x as i64 + 1);
    }
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_keep_their_order() {
    let snakepit = start().await;
    let items = (0..500).map(|x| args! { "x" => x });
    let mut results = snakepit.execute_many::<i64, _>("add", items);
    for x in 0..500 {
        assert_eq!(results.next().await.unwrap().unwrap(), x + 1);
    }
    assert!(results.next().await.is_none());
    snakepit.shutdown().await;
}
