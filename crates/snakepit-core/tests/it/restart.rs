//! Workers that die after they had started well, and workers that never start well.

use std::time::Duration;

use snakepit_core::call::CallOptions;
use snakepit_core::error::{ErrorCode, StartError};
use snakepit_core::pool::PoolState;
use snakepit_core::testing::{Script, ScriptedProfile};
use tokio::time::Instant;

use crate::support::{balanced, call, config, ready, until};

#[tokio::test(start_paused = true)]
async fn healthy_workers_killed_at_random_never_leave_the_pool_empty() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(2), &profile).await;
    for round in 0..240 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        // Every worker has answered, at whatever age.
        for _ in 0..4 {
            call(&pool, "echo").await.unwrap();
        }
        let before = Instant::now();
        profile.workers()[round % 2].die("killed by signal 9", false);
        until(|| profile.starts() == round + 3).await;
        until(|| pool.status().ready == 2).await;
        assert_eq!(before.elapsed(), Duration::ZERO, "round {round}");
    }
    let status = pool.status();
    assert_eq!((status.restarts, status.errors), (240, 0));
    balanced(&status);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_lived_is_replaced_at_once_without_having_answered() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(1), &profile).await;
    for round in 0..30 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let before = Instant::now();
        profile.workers()[0].die("killed by signal 9", false);
        until(|| profile.starts() == round + 2).await;
        assert_eq!(before.elapsed(), Duration::ZERO, "round {round}");
        until(|| pool.status().ready == 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn workers_that_answer_once_and_die_are_not_started_without_pause() {
    let profile = ScriptedProfile::new(1);
    let mut config = config(1);
    config.restart.max_restarts = 5;
    let pool = ready(config, &profile).await;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        call(&pool, "echo").await.unwrap();
        let error = call(&pool, "die").await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::WorkerDied);
    }
    let starts = profile.starts();
    assert!((50..=56).contains(&starts), "{starts}: five in each second");
    assert_ne!(pool.status().state, PoolState::GaveUp);
}

#[tokio::test(start_paused = true)]
async fn workers_that_die_young_are_given_up_whatever_the_old_ones_did() {
    let profile = ScriptedProfile::new(1);
    let mut config = config(1);
    config.restart.max_restarts = 3;
    let pool = ready(config, &profile).await;
    call(&pool, "echo").await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    profile.otherwise(Script::Die);
    profile.workers()[0].die("killed by signal 9", false);
    until(|| profile.starts() == 2).await;
    // 100 + 200 + 400 ms.
    tokio::time::sleep(Duration::from_millis(701)).await;
    until(|| pool.status().state == PoolState::GaveUp).await;
    // The replacement of the good one, and three more.
    assert_eq!(profile.starts(), 5);
    profile.otherwise(Script::Ready);
    let starts = profile.starts();
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(profile.starts(), starts);
    tokio::time::sleep(Duration::from_secs(2)).await;
    until(|| pool.status().ready == 1).await;
    assert_eq!(profile.starts(), starts + 1);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_may_not_restart_gives_up_at_the_first_death() {
    let profile = ScriptedProfile::new(1);
    let mut config = config(1);
    config.restart.max_restarts = 0;
    let pool = ready(config, &profile).await;
    call(&pool, "echo").await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let options = CallOptions::new();
    let payload = crate::support::payload(1);
    pool.execute("die", payload, &options).await.unwrap_err();
    until(|| pool.status().state == PoolState::GaveUp).await;
    assert_eq!(profile.starts(), 1);
}

#[test]
fn a_failed_start_shows_the_last_output() {
    let mut error = StartError::new(ErrorCode::StartFailed, "the adapter cannot be loaded");
    assert_eq!(error.to_string(), "the adapter cannot be loaded");
    error.output = (0..50)
        .map(|line| format!("line {line}\u{1b}[2J"))
        .collect();
    let shown = error.to_string();
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(
        lines[..2],
        ["the adapter cannot be loaded", "  last output:"]
    );
    // Only the last lines, without anything that a terminal acts on.
    assert_eq!(lines.len(), 22);
    for (line, number) in lines[2..].iter().zip(30..) {
        assert!(
            line.starts_with(&format!("    line {number}\\")) && !line.contains('\u{1b}'),
            "{line:?}"
        );
    }
}
