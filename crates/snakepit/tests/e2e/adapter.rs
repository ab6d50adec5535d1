//! The example of an adapter, around Python workers and around workers of a command.

use std::sync::Arc;

use snakepit::{Error, ErrorCode, PoolBuilder, Snakepit, args};

use crate::support::{LONG, pool_of};
use images::{Images, Scale, Scaled};

#[path = "../../examples/adapter/images.rs"]
mod images;

async fn check(pool: PoolBuilder) {
    let snakepit = Snakepit::builder().pool(pool.workers(1)).start().await;
    let snakepit = snakepit.unwrap();
    let scale = async |width, percent| {
        let args = Scale { width, percent };
        snakepit.execute::<Scaled>("multiply", args).await
    };
    assert_eq!(scale(640, 50).await.unwrap(), Scaled { width: 320 });
    let rejected = |error: Error| match error {
        Error::Tool(error) => (error.code, error.message),
        other => panic!("{other:?}"),
    };
    let (code, message) = rejected(scale(640, 0).await.unwrap_err());
    assert_eq!(code, ErrorCode::InvalidArguments);
    assert_eq!(message, "`percent` is 1 to 1000, got 0");
    let unknown = snakepit.execute::<String>("secret", args! {}).await;
    let (code, message) = rejected(unknown.unwrap_err());
    assert_eq!(
        (code, &*message),
        (
            ErrorCode::UnknownTool,
            "the adapter of this pool does not support `secret`"
        )
    );
    let names: Vec<_> = snakepit.tools().into_iter().map(|tool| tool.name).collect();
    assert_eq!(names, ["multiply"]);
    let timeout = snakepit.default_pool().raw().config().tools["multiply"].timeout;
    assert_eq!(timeout.map(|time| time.as_secs()), Some(60));
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_checks_and_converts_calls_of_any_workers() {
    let tools = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/adapter/multiply.py");
    let adapter = Arc::new(Images { worker: Vec::new() });
    check(pool_of("main", tools).adapted(adapter)).await;

    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("multiply.sh");
    let text = r#"echo '{"tools": [{"name": "multiply"}, {"name": "secret"}]}'
while IFS= read -r line; do
  id=$(echo "$line" | sed 's/.*"id":\([0-9]*\).*/\1/')
  a=$(echo "$line" | sed 's/.*"a":\([0-9.]*\).*/\1/')
  b=$(echo "$line" | sed 's/.*"b":\([0-9.]*\).*/\1/')
  echo "{\"id\":$id,\"result\":$(echo "$a $b" | awk '{ print $1 * $2 }')}"
done
"#;
    std::fs::write(&script, text).unwrap();
    let words = [
        env!("CARGO_BIN_EXE_snakepit"),
        "lines",
        "sh",
        script.to_str().unwrap(),
    ];
    let adapter = Images {
        worker: words.map(str::to_owned).to_vec(),
    };
    let pool = PoolBuilder::command_adapter("main", Arc::new(adapter));
    check(pool.start_timeout(LONG)).await;
}
