//! Lookup of a pool's tools by name, even while no worker is ready.

use std::time::Duration;

use snakepit_core::call::CallOptions;
use snakepit_core::error::ErrorCode;
use snakepit_core::testing::{Script, ScriptedProfile};

use crate::support::{config, ready, start, until};

#[tokio::test(start_paused = true)]
async fn they_stay_known_while_no_worker_is_ready() {
    let profile = ScriptedProfile::new(1);
    profile.set_tools(&["echo", "nap"]);
    let pool = ready(config(1), &profile).await;
    profile.otherwise(Script::Hang);
    profile.workers()[0].die("killed by signal 9", false);
    until(|| pool.status().ready == 0).await;
    let options = CallOptions::new();
    let found = pool.find_tool("nap", &options).await.unwrap().unwrap();
    assert_eq!(found.name, "nap");
    assert!(pool.find_tool("other", &options).await.unwrap().is_none());
    let names: Vec<_> = pool.tools().into_iter().map(|tool| tool.name).collect();
    assert_eq!(names, ["echo", "nap"]);
}

#[tokio::test(start_paused = true)]
async fn the_first_worker_is_waited_for() {
    let profile = ScriptedProfile::new(1).then(Script::Slow(Duration::from_secs(3)));
    profile.set_tools(&["echo"]);
    let pool = start(config(1), &profile);
    let found = pool.find_tool("echo", &CallOptions::new()).await.unwrap();
    assert_eq!(found.unwrap().name, "echo");
}

#[tokio::test(start_paused = true)]
async fn the_wait_has_the_bounds_of_a_call() {
    let profile = ScriptedProfile::new(1).then(Script::Hang);
    let pool = start(config(1), &profile);
    let options = CallOptions::new().queue_timeout(Duration::from_secs(1));
    let error = pool.find_tool("echo", &options).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::QueueTimeout);
    let (found, ()) = tokio::join!(pool.find_tool("echo", &options), pool.close());
    assert_eq!(found.unwrap_err().code(), ErrorCode::Closed);
    let profile = ScriptedProfile::new(1).then(Script::Fail { permanent: true });
    let pool = start(config(1), &profile);
    let error = pool.find_tool("echo", &options).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::StartFailed);
}

#[tokio::test(start_paused = true)]
async fn the_worker_that_became_ready_last_counts() {
    let profile = ScriptedProfile::new(1);
    profile.set_tools(&["old"]);
    let pool = ready(config(1), &profile).await;
    profile.set_tools(&["new"]);
    let old = pool.workers()[0].id.clone();
    pool.recycle(&old).await.unwrap();
    let options = CallOptions::new();
    assert!(pool.find_tool("new", &options).await.unwrap().is_some());
    assert!(pool.find_tool("old", &options).await.unwrap().is_none());
}
