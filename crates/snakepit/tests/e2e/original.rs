//! Adapters of the original library, unmodified, in workers of every profile.

use futures_util::TryStreamExt as _;
use serde_json::{Value as Json, json};
use snakepit::{CallOptions, ErrorCode, PoolBuilder, PythonProfile, Snakepit, args};

use crate::support::pool_of;

pub(crate) fn pool(class: &str) -> PoolBuilder {
    let file = format!("{}/tests/e2e/original_tools.py", env!("CARGO_MANIFEST_DIR"));
    pool_of("main", &format!("{file}:{class}"))
}

async fn start(pool: PoolBuilder) -> Snakepit {
    Snakepit::builder().pool(pool).start().await.unwrap()
}

/// Calls the tools that the adapters of all profiles have. `main` says whether tools run on the
/// main thread of the worker.
async fn works(pool: PoolBuilder, main: bool) {
    let snakepit = start(pool).await;
    for count in 1..4 {
        let got: Json = snakepit.execute("increment", ()).await.unwrap();
        assert_eq!(got, json!({"count": count, "prepared": true}));
    }
    let chunks = snakepit.execute_stream::<Json>("progress", args! { "count" => 2 });
    let chunks: Vec<Json> = chunks.await.unwrap().try_collect().await.unwrap();
    assert_eq!(chunks, [json!({"progress": 1}), json!({"progress": 2})]);

    let call = snakepit.call::<Json>("context").session("s-1");
    let got: Json = call
        .metadata("tenant", "a")
        .metadata("", "ä")
        .await
        .unwrap();
    let metadata = json!({"tenant": "a", "": "ä"});
    let expected = json!({"session": "s-1", "metadata": metadata, "kept": 1, "main": main});
    assert_eq!(got, expected);
    // The next call of the same worker has none of it.
    let got: Json = snakepit.execute("context", ()).await.unwrap();
    let expected = json!({"session": null, "metadata": {}, "kept": 1, "main": main});
    assert_eq!(got, expected);
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_works_in_processes() {
    works(pool("Counter"), true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_works_in_threads() {
    let profile = PythonProfile::Thread {
        threads_per_worker: 4,
    };
    works(pool("Counter").profile(profile), false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_works_on_an_event_loop() {
    works(pool("Asynchronous").concurrency(8), true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tracker_counts_the_requests_of_all_slots() {
    let snakepit = start(pool("Counter").profile(PythonProfile::Thread {
        threads_per_worker: 4,
    }))
    .await;
    let calls = (0..20).map(|_| snakepit.execute::<Json>("increment", ()));
    futures_util::future::try_join_all(calls).await.unwrap();
    let got: Json = snakepit.execute("get_stats", ()).await.unwrap();
    assert_eq!(got, json!({"total": 21, "count": 20}));
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_with_its_own_dispatch_works() {
    let snakepit = start(pool("Dispatch")).await;
    let add = args! { "tool_name" => "add", "arguments" => args! { "a" => 1, "b" => 2 } };
    assert_eq!(
        snakepit.execute::<i64>("execute_tool", add).await.unwrap(),
        3
    );
    let rows = args! { "tool_name" => "rows", "arguments" => args! { "n" => 2 } };
    let rows = snakepit.execute_stream::<Json>("execute_tool_stream", rows);
    let rows: Vec<Json> = rows.await.unwrap().try_collect().await.unwrap();
    assert_eq!(rows, [json!({"row": 0}), json!({"row": 1})]);
    let call = snakepit
        .call::<Json>("execute_tool")
        .args(args! { "tool_name" => "metadata" });
    let mut options = CallOptions::new().metadata("tenant", "b");
    options.correlation = Some("order 7".into());
    let got: Json = call.options(&options).await.unwrap();
    assert_eq!(got, json!({"tenant": "b", "correlation_id": "order 7"}));
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_beyond_its_limits_is_refused() {
    let snakepit = start(pool("Counter")).await;
    let call = || snakepit.call::<Json>("increment");
    let large = call().metadata("a", "x".repeat(4096)).await.unwrap_err();
    assert_eq!(large.code(), ErrorCode::InvalidMetadata);
    let options = (0..33).fold(CallOptions::new(), |options, index| {
        options.metadata(index.to_string(), "")
    });
    let many = call().options(&options).await.unwrap_err();
    assert_eq!(many.code(), ErrorCode::InvalidMetadata);
    let fits = call().metadata("a", "x".repeat(4095)).await.unwrap();
    assert_eq!(fits["count"], 1);
    snakepit.shutdown().await;
}
