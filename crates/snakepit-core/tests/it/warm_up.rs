//! Failed warm-ups, and their reports.

use std::sync::Arc;
use std::time::Duration;

use snakepit_core::error::{Error, ErrorCode, Stacks, StartError, ThreadStack};
use snakepit_core::pool::{Pool, PoolConfig};
use snakepit_core::testing::{Script, ScriptedProfile};
use tokio::time::Instant;

use crate::support::{LONG, config, until};

fn warming(tool: &str) -> PoolConfig {
    let mut config = config(1);
    config.warm_up = Some(tool.to_owned());
    config.start_timeout = Duration::from_secs(30);
    config
}

async fn failure(pool: &Pool) -> Box<StartError> {
    match pool.await_all_ready(LONG).await {
        Err(Error::Start { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_misspelt_one_is_told_at_once_and_not_tried_again() {
    let profile = ScriptedProfile::new(1);
    profile.set_tools(&["load", "predict"]);
    let began = Instant::now();
    let pool = crate::support::start(warming("laod"), &profile);
    let error = failure(&pool).await;
    assert_eq!(
        (error.code, error.permanent),
        (ErrorCode::UnknownTool, true)
    );
    assert!(error.message.contains("laod"), "{error:?}");
    assert!(
        error
            .help
            .is_some_and(|help| help.contains("load, predict"))
    );
    assert_eq!((began.elapsed(), profile.starts()), (Duration::ZERO, 1));
    assert!(profile.workers().is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_that_raises_ends_the_start_that_somebody_waits_for() {
    let profile = ScriptedProfile::new(1);
    let began = Instant::now();
    let (pool, first) = Pool::start_or_fail(warming("fail"), Arc::new(profile.clone())).unwrap();
    let error = failure(&pool).await;
    assert!(error.message.contains("warm-up `fail`"), "{error:?}");
    assert!(error.tool_error.is_some() && error.help.is_some());
    assert_eq!((began.elapsed(), profile.starts()), (Duration::ZERO, 1));
    drop(first);
}

#[tokio::test(start_paused = true)]
async fn one_that_raises_later_is_tried_again_and_named_when_time_runs_out() {
    let profile = ScriptedProfile::new(1);
    let (pool, first) = Pool::start_or_fail(warming("fail"), Arc::new(profile.clone())).unwrap();
    drop(first);
    until(|| profile.starts() == 1 && pool.status().start_failures == 1).await;
    let error = pool
        .await_all_ready(Duration::from_millis(1))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Start { .. }), "{error:?}");
    profile.started(2).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_end_is_named_with_its_stacks() {
    let profile = ScriptedProfile::new(1);
    let (pool, _first) = Pool::start_or_fail(warming("hang"), Arc::new(profile.clone())).unwrap();
    until(|| !profile.workers().is_empty()).await;
    let thread = ThreadStack {
        name: "MainThread".to_owned(),
        ..ThreadStack::default()
    };
    let stacks = Stacks {
        threads: vec![thread],
        truncated: false,
    };
    profile.workers()[0].set_stacks(Some(stacks.clone()));
    let error = failure(&pool).await;
    assert!(error.message.contains("warm-up `hang`"), "{error:?}");
    assert_eq!(error.stacks.as_deref(), Some(&stacks));
    assert!(profile.workers().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_start_that_fails_once_while_somebody_waits_is_permanent() {
    let profile = ScriptedProfile::new(1).then(Script::Fail { permanent: false });
    let (pool, _first) = Pool::start_or_fail(config(1), Arc::new(profile.clone())).unwrap();
    let error = failure(&pool).await;
    assert!(error.permanent);
    assert_eq!(profile.starts(), 1);
}
