//! The example of a profile of one's own: what it has in common with the others.

use std::path::Path;
use std::sync::Arc;

use futures_util::StreamExt as _;
use serde::Deserialize;
use snakepit::profiles::registry::Record;
use snakepit::{
    BuildError, Error, ErrorCode, HostTool, NewVariable, PoolBuilder, PoolConfig, Snakepit,
    VariableType, args,
};

use crate::support::{LONG, alive, holds};
use lines::Lines;

#[path = "../../examples/own_profile/lines.rs"]
mod lines;

#[derive(Deserialize, schemars::JsonSchema)]
struct Text {
    text: String,
}

fn pool(script: &Path) -> PoolBuilder {
    let lines = Arc::new(Lines(script.to_owned()));
    PoolBuilder::with_factory(PoolConfig::new("lines"), lines)
        .workers(1)
        .start_timeout(LONG)
        .call_timeout(LONG)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_of_ones_own_has_sessions_host_tools_registry_and_containment() {
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/examples/own_profile/worker.py"
    );
    let dir = tempfile::tempdir().unwrap();
    let shout = HostTool::sync("shout", |_, Text { text }: Text| Ok(text.to_uppercase()));
    let snakepit = Snakepit::builder()
        .data_dir(dir.path())
        .pool(pool(script.as_ref()))
        .host_tool(shout.exposed())
        .start()
        .await
        .unwrap();
    let sum: i64 = snakepit
        .execute("add", args! { "a" => 1, "b" => 2 })
        .await
        .unwrap();
    assert_eq!(sum, 3);
    let many = snakepit.execute_many("add", [args! { "a" => 1, "b" => 1 }, args! { "a" => 2 }]);
    let many: Vec<Result<i64, Error>> = many.collect().await;
    assert_eq!(*many[0].as_ref().unwrap(), 2);
    let failed = many[1].as_ref().unwrap_err();
    assert!(failed.to_string().starts_with("TypeError"), "{failed}");
    let stream = snakepit.execute_stream::<i64>("add", args! {}).await;
    let error = stream.expect_err("it has no streams");
    assert_eq!(error.code(), ErrorCode::WrongCallKind);
    let session = snakepit
        .sessions()
        .create("ann", Default::default())
        .unwrap();
    let mood = NewVariable::new("mood", VariableType::String, "fine");
    session.register(mood).unwrap();
    let ann = snakepit.session("ann");
    let greeting: String = ann
        .execute("greet", args! { "name" => "Ann" })
        .await
        .unwrap();
    assert_eq!(greeting, "HELLO ANN");
    let mood: String = ann
        .execute("remember", args! { "key" => "mood" })
        .await
        .unwrap();
    assert_eq!(mood, "fine");

    let status = &snakepit.status()[0];
    assert!(status.containment.tier.is_some(), "{status:?}");
    let pid = snakepit.workers()[0].pid.unwrap();
    let recorded = snakepit.run().unwrap().registry().list().unwrap();
    let of_worker = |one: &Record| {
        one.identity
            .as_ref()
            .is_some_and(|it| it.pid == pid.cast_signed())
    };
    assert!(recorded.iter().any(of_worker), "{recorded:?}");
    // A worker that dies is replaced.
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pid.cast_signed()),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
    holds("another worker", || {
        snakepit
            .workers()
            .iter()
            .any(|worker| worker.pid.is_some_and(|new| new != pid))
    });
    let again = snakepit.workers()[0].pid.unwrap();
    let sum: i64 = snakepit
        .execute("add", args! { "a" => 2, "b" => 2 })
        .await
        .unwrap();
    assert_eq!(sum, 4);
    let report = snakepit.shutdown().await;
    assert!(report.leftover.is_empty(), "{report:?}");
    assert!(!alive(pid) && !alive(again));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_fails_has_the_last_output() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("worker.py");
    std::fs::write(&script, "raise SystemExit('no luck')").unwrap();
    let started = Snakepit::builder()
        .data_dir(dir.path())
        .pool(pool(&script))
        .start()
        .await;
    match started.unwrap_err() {
        BuildError::Start { error, .. } => {
            let text = format!("{error:?}");
            assert!(
                text.contains("no luck") && text.contains("exited with status 1"),
                "{text}"
            );
        }
        other => panic!("{other:?}"),
    }
}
