//! Profiles of workers that work, wait, and end.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use snakepit::core::worker::profiling::{Profile, ProfileError, ProfileReport};
use snakepit::{PoolHandle, Snakepit, WorkerId, args};
use tokio::time::timeout;

use crate::support::{LONG, pool_of, root};
use crate::worker_life::{send, text};

/// Returns settings of a profile that runs until it is stopped.
fn profile() -> Profile {
    Profile {
        hz: 1000,
        duration: LONG,
        ..Profile::default()
    }
}

fn adapter() -> String {
    text(&root().join("python/tests/profile_adapter.py"))
}

async fn start(workers: usize) -> (Snakepit, PoolHandle) {
    let pool = pool_of("main", &adapter()).workers(workers);
    let snakepit = Snakepit::builder().pool(pool).start().await.unwrap();
    snakepit.await_all_ready(LONG).await.unwrap();
    let pool = snakepit.pool("main").unwrap();
    (snakepit, pool)
}

fn worker(pool: &PoolHandle) -> WorkerId {
    pool.workers()[0].id.clone()
}

/// Returns the stacks that contain this function: function and line of each frame, outermost first.
fn stacks_with(report: &ProfileReport, function: &str) -> Vec<Vec<(String, u32)>> {
    let stacks = report.stacks.iter().map(|stack| {
        let frames = report.frames_of(stack);
        let frames = frames.map(|frame| (frame.function.clone(), frame.line));
        frames.collect::<Vec<_>>()
    });
    let has = |stack: &Vec<(String, u32)>| stack.iter().any(|(name, _)| name == function);
    stacks.filter(has).collect()
}

/// Waits until a function of the adapter runs in the worker.
async fn at_work(pool: &PoolHandle, function: &str) {
    let runs = |stacks: Option<snakepit::Stacks>| {
        let threads = stacks.into_iter().flat_map(|stacks| stacks.threads);
        let mut frames = threads.flat_map(|thread| thread.frames);
        frames.any(|it| it.file.ends_with("profile_adapter.py") && it.function == function)
    };
    while !runs(pool.stacks(&worker(pool), LONG).await) {}
}

fn pipe(dir: &Path) -> String {
    let path = dir.join("pipe");
    mkfifo(&path, Mode::S_IRWXU).unwrap();
    text(&path)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_is_profiled_and_its_tools_are_told_apart() {
    let (snakepit, pool) = start(2).await;
    let handle = pool.profile_all(&profile()).await.unwrap();
    let calls = [
        pool.execute::<i64>("spins", args! { "seconds" => 0.5 }),
        pool.execute::<i64>("spins", args! { "seconds" => 0.5 }),
    ];
    futures_util::future::join_all(calls).await;
    let report = handle.stop().await;
    assert!(report.unprofiled.is_empty(), "{:?}", report.unprofiled);
    let mut workers: Vec<_> = report.threads.iter().map(|it| &*it.worker).collect();
    workers.sort_unstable();
    workers.dedup();
    assert_eq!(workers, ["main-1", "main-2"]);
    assert!(report.threads.iter().any(|it| it.name == "MainThread"));
    let working = stacks_with(&report, "work");
    assert!(!working.is_empty(), "{}", report.collapsed());
    for stack in working {
        assert_eq!(stack[0].0, "spins", "{stack:?}");
        assert_eq!(stack[1].0, "work", "{stack:?}");
    }
    let tool = pool.tools().into_iter().find(|it| it.name == "spins");
    let own = report.clone().of_tool(&tool.unwrap());
    assert!(own.total() > 0 && own.stacks.len() <= report.stacks.len());
    let other = pool.tools().into_iter().find(|it| it.name == "matches");
    assert_eq!(report.of_tool(&other.unwrap()).total(), 0);
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_profiled_once_at_a_time() {
    let (snakepit, pool) = start(1).await;
    let id = worker(&pool);
    let first = pool.profile(&id, &profile()).await.unwrap();
    let second = pool.profile(&id, &profile()).await.unwrap_err();
    assert_eq!(second.code().as_str(), "SP9009", "{second}");
    assert!(second.to_string().contains("another profile"), "{second}");
    drop(first);
    // The worker handles the end before it handles the next request.
    let third = pool.profile(&id, &profile()).await.unwrap();
    assert!(third.stop().await.unprofiled.is_empty());
    let unknown = pool.profile(&WorkerId::new("main-9"), &profile()).await;
    assert!(matches!(unknown, Err(ProfileError::UnknownWorker { .. })));
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_ends_by_itself_when_its_time_is_over() {
    let (snakepit, pool) = start(1).await;
    let short = Profile {
        duration: Duration::from_millis(50),
        ..profile()
    };
    let handle = pool.profile(&worker(&pool), &short).await.unwrap();
    timeout(LONG, handle.ended()).await.unwrap();
    let report = handle.stop().await;
    assert!(report.samples > 0 && report.seconds >= 0.05, "{report:?}");
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threads_that_wait_are_seen_where_they_wait() {
    let (snakepit, pool) = start(1).await;
    let dir = tempfile::tempdir().unwrap();
    let path = pipe(dir.path());
    let handle = pool.profile(&worker(&pool), &profile()).await.unwrap();
    let call = pool.execute::<String>("in_generator", (path.clone(),));
    let (call, ()) = tokio::join!(call, opened(&path));
    call.unwrap();
    let report = handle.stop().await;
    for stack in stacks_with(&report, "wait") {
        let names: Vec<_> = stack.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names[..3], ["in_generator", "steps", "wait"]);
    }
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profiled_worker_survives_load_cancellation_and_replacement() {
    let (snakepit, pool) = start(1).await;
    let id = worker(&pool);
    let mut events = snakepit.events();
    let handle = pool.profile(&id, &profile()).await.unwrap();
    let churn = pool.execute::<i64>("churns", args! { "seconds" => 1.0 });
    assert!(churn.await.unwrap() > 0);
    // A tool that is interrupted in the middle of a call costs its worker, even without a profile;
    // this one calls nothing.
    let cut = pool.execute::<i64>("counts", args! { "end" => i64::MAX });
    tokio::select! {
        ended = cut => panic!("{ended:?}"),
        () = at_work(&pool, "counts") => {}
    }
    let echo: String = pool.execute("echo", ("there",)).await.unwrap();
    assert_eq!(echo, "there");
    let told = std::iter::from_fn(|| events.try_next());
    let told = told.filter(|told| told.event.name().starts_with("worker."));
    let told: Vec<_> = told.map(|told| format!("{:?}", told.event)).collect();
    assert_eq!(worker(&pool), id, "it is the same worker: {told:#?}");
    let replacement = snakepit.recycle(&id).await.unwrap();
    let echo: String = pool.execute("echo", ("again",)).await.unwrap();
    assert_eq!(echo, "again");
    // The worker has ended or is about to.
    let report = handle.stop().await;
    assert!(
        report.total() > 0 || report.unprofiled.len() == 1,
        "{report:?}"
    );
    let handle = pool.profile(&replacement, &profile()).await.unwrap();
    let ended = snakepit.shutdown().await;
    assert!(
        ended.killed.is_empty() && ended.problem.is_none(),
        "{ended:?}"
    );
    timeout(LONG, handle.ended()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_profile_of_a_worker_that_is_killed_says_so() {
    let (snakepit, pool) = start(1).await;
    let handle = pool.profile(&worker(&pool), &profile()).await.unwrap();
    send(pool.workers()[0].pid.unwrap(), Signal::SIGKILL);
    timeout(LONG, handle.ended()).await.unwrap();
    let report = handle.stop().await;
    assert_eq!(report.unprofiled[0].reason, "it is gone", "{report:?}");
    assert_eq!(report.unprofiled[0].worker, "main-1");
    snakepit.shutdown().await;
}

#[cfg(feature = "diag")]
#[tokio::test(flavor = "multi_thread")]
async fn the_profile_of_a_call_ends_with_the_call() {
    let threads = snakepit::PythonProfile::Thread {
        threads_per_worker: 2,
    };
    let pool = pool_of("main", &adapter()).profile(threads);
    let pool = pool.configure_python(|python| {
        python.thread_safety_checks = snakepit::ThreadSafetyChecks::Off;
    });
    let dir = tempfile::tempdir().unwrap();
    let builder = Snakepit::builder().data_dir(dir.path());
    let snakepit = builder.pool(pool).start().await.unwrap();
    let pool = snakepit.pool("main").unwrap();
    let path = pipe(dir.path());
    let running = |tool: &str| {
        let calls = snakepit.report().pools.remove(0).calls.into_iter();
        let mut calls = calls.filter(|call| call.tool == tool);
        calls.next()
    };
    let other = pool.execute::<i64>("spins", args! { "seconds" => 1.0 });
    let call = pool.execute::<String>("in_lambda", (path.clone(),));
    let profiled = async {
        at_work(&pool, "wait").await;
        let call = running("in_lambda").unwrap();
        let of_call = Profile {
            call: Some(snakepit::core::id::CallId(call.attempt)),
            ..profile()
        };
        let handle = pool.profile(&worker(&pool), &of_call).await.unwrap();
        opened(&path).await;
        timeout(LONG, handle.ended()).await.unwrap();
        handle.stop().await
    };
    let (call, other, report) = tokio::join!(call, other, profiled);
    call.unwrap();
    other.unwrap();
    assert!(report.total() > 0, "{report:?}");
    let lambda = stacks_with(&report, "in_lambda.<locals>.<lambda>");
    let functions = lambda.len() + stacks_with(&report, "<lambda>").len();
    assert!(functions > 0, "{}", report.collapsed());
    assert!(
        stacks_with(&report, "spins").is_empty(),
        "{}",
        report.collapsed()
    );
    snakepit.shutdown().await;
}

/// Opens the pipe that a tool reads, which lets the tool continue.
async fn opened(path: &str) {
    let path = path.to_owned();
    let open = move || drop(fs::OpenOptions::new().write(true).open(path).unwrap());
    tokio::task::spawn_blocking(open).await.unwrap();
}
