//! Stacks of a worker's threads, whatever its tools are doing.

use std::fs;
use std::time::Duration;

use snakepit::{CallOptions, Error, Snakepit, Stacks, ThreadStack, WorkerId, args};
use tokio::task::JoinSet;

use crate::support::{LONG, pool_of};

fn tools() -> String {
    format!("{}/tests/e2e/stuck.py", env!("CARGO_MANIFEST_DIR"))
}

/// Starts a pool with more time for stacks than callers would wait: other tests keep the machine
/// busy.
async fn start(workers: usize) -> Snakepit {
    let pool = pool_of("main", &tools())
        .workers(workers)
        .configure(|config| {
            config.timeout_stacks = Duration::from_secs(10);
            config.cancel_grace = Duration::from_millis(500);
        });
    Snakepit::builder().pool(pool).start().await.unwrap()
}

/// Returns the line of the tools at which this one is stuck.
fn marked(name: &str) -> u32 {
    let text = fs::read_to_string(tools()).unwrap();
    let mark = format!("here: {name}");
    let line = text.lines().position(|line| line.ends_with(&mark));
    u32::try_from(line.unwrap() + 1).unwrap()
}

fn stacks(error: &Error) -> &Stacks {
    match error {
        Error::Timeout {
            stacks: Some(stacks),
            ..
        } => stacks,
        other => panic!("{other:?}"),
    }
}

fn is_at(thread: &ThreadStack, function: &str) {
    let at = &thread.frames[0];
    assert!(at.file.ends_with("stuck.py"), "{thread}");
    assert_eq!((&*at.function, at.line), (function, marked(function)));
}

fn worker(snakepit: &Snakepit) -> WorkerId {
    let pool = snakepit.pool("main").unwrap();
    pool.workers()[0].id.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_out_tells_where_the_tool_is() {
    let snakepit = start(1).await;
    let options = CallOptions::new().timeout(Duration::from_millis(500));
    for (tool, function) in [
        ("loops", "loops"),
        ("sleeps", "sleeps"),
        ("blocks_its_loop", "_nested"),
        ("holds_the_gil", "holds_the_gil"),
    ] {
        // The worker is ready for the next tool, or has been replaced.
        snakepit.execute::<i64>("echo", (1,)).await.unwrap();
        let error = snakepit
            .call::<()>(tool)
            .options(&options)
            .await
            .unwrap_err();
        let stacks = stacks(&error);
        is_at(&stacks.threads[0], function);
        assert_eq!(stacks.threads[0].name, "MainThread");
        let report = snakepit::Report::from(&error).to_string();
        let line = format!("stuck.py:{} in {function}", marked(function));
        assert!(report.contains(&line), "{report}");
    }
    snakepit.execute::<i64>("echo", (1,)).await.unwrap();
    let pool = snakepit.pool("main").unwrap();
    let mut stream = pool
        .call::<i64>("streams")
        .options(&options)
        .stream()
        .await
        .unwrap();
    stream.next().await.unwrap().unwrap();
    let error = stream.next().await.unwrap().unwrap_err();
    is_at(&stacks(&error).threads[0], "streams");
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threads_have_their_names_also_while_the_gil_is_held() {
    let snakepit = start(1).await;
    let count: i64 = snakepit.execute("crowd", (3,)).await.unwrap();
    assert_eq!(count, 4);
    let pool = snakepit.pool("main").unwrap();
    let idle = pool.stacks(&worker(&snakepit), LONG).await.unwrap();
    let loader = |stacks: &Stacks, name: &str| {
        let thread = stacks.threads.iter().find(|thread| thread.name == name);
        let thread = thread.unwrap_or_else(|| panic!("{stacks}")).clone();
        let tool = thread
            .frames
            .iter()
            .find(|frame| frame.function == "_loads");
        assert!(tool.unwrap().file.ends_with("stuck.py"));
        assert!(thread.id > 0);
    };
    for name in ["loader-0", "loader-1", "loader-2"] {
        loader(&idle, name);
    }
    let options = CallOptions::new().timeout(Duration::from_millis(500));
    let error = snakepit
        .call::<()>("holds_the_gil")
        .options(&options)
        .await
        .unwrap_err();
    // The interpreter cannot answer now: the names are those that it reported before.
    is_at(&stacks(&error).threads[0], "holds_the_gil");
    loader(stacks(&error), "loader-1");
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_worker_waits_for_calls() {
    let snakepit = start(1).await;
    let pool = snakepit.pool("main").unwrap();
    let stacks = pool.stacks(&worker(&snakepit), LONG).await.unwrap();
    assert_eq!(stacks.threads.len(), 1, "{stacks}");
    let at = &stacks.threads[0].frames[0];
    assert!(at.file.ends_with("_boot.py"), "{stacks}");
    let pid = pool.workers()[0].pid.unwrap();
    assert_eq!(stacks.threads[0].id, u64::from(pid));
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_looks_under_load_disturb_no_call() {
    let snakepit = start(1).await;
    let pool = snakepit.pool("main").unwrap();
    let mut calls = JoinSet::new();
    for _ in 0..2 {
        let host = snakepit.clone();
        calls.spawn(async move {
            let mut made = 0_u32;
            loop {
                assert_eq!(host.execute::<i64>("echo", (7,)).await.unwrap(), 7);
                let churn = host.execute::<i64>("churns", args! { "seconds" => 0.02 });
                made += u32::try_from(churn.await.unwrap()).unwrap();
                tokio::task::yield_now().await;
                if made > 1_000_000 {
                    return made;
                }
            }
        });
    }
    let id = worker(&snakepit);
    let (mut looks, mut seen, mut deepest) = (0, 0, 0);
    let begun = tokio::time::Instant::now();
    // The tool is active only now and then: on a busy machine the first stacks may miss it.
    while looks < 200 || (deepest <= 10 && begun.elapsed() < LONG) {
        looks += 1;
        let looked = pool.stacks(&id, LONG).await;
        if let Some(stacks) = looked {
            seen += 1;
            let frames = stacks.threads.iter().map(|thread| thread.frames.len());
            deepest = deepest.max(frames.max().unwrap_or(0));
        }
    }
    assert!(calls.try_join_next().is_none(), "no call has failed");
    calls.shutdown().await;
    assert_eq!(worker(&snakepit), id, "the same worker still lives");
    println!("{seen} of {looks} looks saw something, up to {deepest} frames");
    assert!(seen * 200 >= looks * 195, "{seen} of {looks}");
    assert!(deepest > 10, "the tool was seen at work");
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_threads_is_cut_and_the_tool_comes_first() {
    let snakepit = start(1).await;
    let arguments = args! { "n" => 500, "depth" => 120 };
    let count: i64 = snakepit.execute("crowd", arguments).await.unwrap();
    assert_eq!(count, 501);
    let options = CallOptions::new().timeout(Duration::from_millis(500));
    let error = snakepit
        .call::<()>("sleeps")
        .options(&options)
        .await
        .unwrap_err();
    let stacks = stacks(&error);
    is_at(&stacks.threads[0], "sleeps");
    assert!(stacks.truncated);
    assert!((90..=100).contains(&stacks.threads.len()), "{stacks}");
    assert!(stacks.threads[1].name.starts_with("loader-"), "{stacks}");
    assert!(
        stacks
            .threads
            .iter()
            .all(|thread| thread.frames.len() <= 100)
    );
    snakepit.shutdown().await;
}

/// Returns the functions of a stack that belong to the tools, innermost first.
fn of_tools(thread: &ThreadStack) -> Vec<&str> {
    let frames = thread
        .frames
        .iter()
        .filter(|frame| frame.file.ends_with("stuck.py"));
    frames.map(|frame| &*frame.function).collect()
}

/// Returns what each thread's call awaits; on a shared loop, the awaited task and the call's own
/// together.
fn awaited(stacks: &Stacks, shared: bool) -> Vec<Vec<&str>> {
    match &stacks.threads[..] {
        [task, other, ..] if shared => vec![[of_tools(other), of_tools(task)].concat()],
        threads => threads.iter().map(of_tools).collect(),
    }
}

/// Calls a tool, or reads its stream, until the time-out.
async fn timed_out(snakepit: &Snakepit, tool: &str, options: &CallOptions) -> Error {
    if tool != "trickles" {
        let called = snakepit.call::<()>(tool).options(options).await;
        return called.unwrap_err();
    }
    let pool = snakepit.pool("main").unwrap();
    let stream = pool.call::<i64>(tool).options(options).stream().await;
    let mut stream = stream.unwrap();
    loop {
        if let Err(error) = stream.next().await.unwrap() {
            return error;
        }
    }
}

/// Coroutines of a call that await one another, on any kind of slot.
#[tokio::test(flavor = "multi_thread")]
async fn a_time_out_shows_what_a_coroutine_awaits() {
    for (slots, concurrency) in [(1, 0), (2, 0), (0, 4)] {
        let mut pool = pool_of("main", &tools()).configure(|config| {
            config.timeout_stacks = Duration::from_secs(10);
            config.cancel_grace = Duration::from_secs(10);
        });
        if slots > 1 {
            pool = pool.threads(slots);
        }
        if concurrency > 0 {
            pool = pool.concurrency(concurrency);
        }
        let snakepit = Snakepit::builder().pool(pool).start().await.unwrap();
        let options = CallOptions::new().timeout(Duration::from_millis(300));
        for (tool, chain) in [
            ("waits", &["_inner", "_outer", "waits"][..]),
            ("gathers", &["_inner", "_outer", "gathers"]),
            ("limits", &["_inner", "_outer", "limits"]),
            ("iterates", &["_inner", "_items", "iterates"]),
            ("trickles", &["_inner", "_outer", "trickles"]),
        ] {
            // The interpreter has 15 ms to answer: on a busy machine another call may be necessary.
            let mut tries = 0;
            let stacks = loop {
                let error = timed_out(&snakepit, tool, &options).await;
                let stacks = stacks(&error).clone();
                let seen = awaited(&stacks, concurrency > 0);
                if seen.iter().any(|seen| seen == chain) {
                    break stacks;
                }
                tries += 1;
                assert!(tries < 20, "{tool} with {slots} slots: {stacks}");
            };
            let inner = stacks.threads.iter().flat_map(|thread| &thread.frames);
            let mut inner = inner.filter(|frame| frame.function == "_inner");
            assert_eq!(inner.next().unwrap().line, marked("_inner"), "{stacks}");
            let title = stacks.threads[0].title();
            assert_eq!(
                title.starts_with("task of call "),
                concurrency > 0,
                "{stacks}"
            );
        }
        snakepit.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_shown_while_another_call_keeps_the_loop() {
    let dir = tempfile::tempdir().unwrap();
    let pool = pool_of("main", &tools())
        .concurrency(8)
        .configure(|config| {
            config.timeout_stacks = Duration::from_secs(10);
            config.cancel_grace = Duration::from_secs(60);
        })
        .configure_python({
            let dir = dir.path().to_owned();
            move |python| python.working_dir = Some(dir.clone())
        });
    let snakepit = Snakepit::builder().pool(pool).start().await.unwrap();
    let pool = snakepit.pool("main").unwrap();
    let mut calls = JoinSet::new();
    for tool in ["waits", "traps", "waits"] {
        let host = snakepit.clone();
        calls.spawn(async move { drop(host.execute::<()>(tool, ()).await) });
    }
    let id = worker(&snakepit);
    let chains = async |wanted: &[&[&str]]| {
        loop {
            let seen = pool.stacks(&id, LONG).await.unwrap();
            let tasks = seen.threads.iter().filter(|thread| thread.call.is_some());
            let mut chains: Vec<_> = tasks.map(of_tools).filter(|one| !one.is_empty()).collect();
            chains.sort();
            if chains == wanted {
                return seen;
            }
        }
    };
    let wait = ["_inner", "_outer", "waits"];
    let wanted: [&[&str]; 3] = [&wait, &wait, &["traps"]];
    let looked = chains(&wanted);
    tokio::time::timeout(LONG, looked)
        .await
        .expect("all of them wait");
    let host = snakepit.clone();
    calls.spawn(async move { drop(host.execute::<()>("keeps_the_loop", ()).await) });
    // The running call is on the stack of its thread.
    let both = async {
        loop {
            let seen = chains(&wanted).await;
            if of_tools(&seen.threads[0]) == ["keeps_the_loop"] {
                return;
            }
        }
    };
    tokio::time::timeout(LONG, both)
        .await
        .expect("one of them keeps the loop");
    assert!(
        !dir.path().join("looked").exists(),
        "code of a tool has run"
    );
    calls.shutdown().await;
    snakepit.shutdown().await;
}
