//! Replacement of live workers, alone and together with other faults.

use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use snakepit::{Affinity, Error, NewVariable, Snakepit, VariableType, WorkerId, args};
use tokio::time::{Instant, sleep};

use crate::oracle::{Scene, eventually_async};
use crate::record::{Row, ms};
use crate::support::{LONG, file};

fn ready(snakepit: &Snakepit) -> usize {
    snakepit.status()[0].ready
}

fn recycled(snakepit: &Snakepit) -> u64 {
    snakepit.status()[0].recycled
}

#[tokio::test(flavor = "multi_thread")]
async fn row_64_all_limits_hit_together() {
    let row = Row::new(64, "all workers of two pools reach their age together");
    let scene = Scene::new();
    let aged = |name: &str| {
        let pool = scene.pool(3).recycle(|recycle| {
            recycle.max_age = Some(Duration::from_millis(300));
            recycle.jitter = 0.0;
            recycle.min_lifetime = Duration::ZERO;
        });
        pool.configure(|config| config.name = name.into())
    };
    let host = scene.host(aged("one")).pool(aged("other"));
    let snakepit = host.start().await.unwrap();
    let mut most = 0;
    let total = |snakepit: &Snakepit| -> u64 {
        let status = snakepit.status();
        status.iter().map(|pool| pool.recycled).sum()
    };
    let clock = Instant::now();
    while total(&snakepit) < 6 {
        assert!(clock.elapsed() < LONG);
        let status = snakepit.status();
        assert!(status.iter().all(|pool| pool.ready >= 3), "{status:?}");
        most = most.max(snakepit.workers().len());
        // polls: numbers without an event
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(most, 7, "one of six at a time, over both pools");
    scene.close(snakepit).await;
    row.holds("one of six at a time over both pools, 3 ready in each all the time");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_65_the_replacement_cannot_start() {
    let row = Row::new(65, "adapter broken on disk, worker due");
    let scene = Scene::new();
    let good = "import os\nfrom snakepit_bridge import tool\n\n@tool\ndef pid() -> int:\n    return os.getpid()\n";
    let pool = scene.pool_of(&scene.adapter(good), 2).recycle(|recycle| {
        recycle.max_age = Some(Duration::from_millis(500));
        recycle.min_lifetime = Duration::ZERO;
    });
    let snakepit = scene.host(pool).start().await.unwrap();
    scene.adapter("import nonexistent_module_for_this_row\n");
    let error = |snakepit: &Snakepit| snakepit.status()[0].recycle_error.clone();
    eventually_async("a replacement fails", || error(&snakepit).is_some()).await;
    let before = snakepit.status()[0].recycle_failures;
    let clock = Instant::now();
    while clock.elapsed() < Duration::from_secs(2) {
        snakepit.execute::<i64>("pid", ()).await.unwrap();
        assert_eq!(ready(&snakepit), 2);
        // polls: calls continue
        sleep(Duration::from_millis(5)).await;
    }
    let tries = snakepit.status()[0].recycle_failures - before;
    assert!(tries <= 6, "{tries}: the waits grow");
    let text = error(&snakepit).unwrap();
    scene.adapter(good);
    let failures = |snakepit: &Snakepit| snakepit.status()[0].recycle_error.is_some();
    eventually_async("it heals", || !failures(&snakepit)).await;
    scene.close(snakepit).await;
    row.holds(format!(
        "both workers serve on, {tries} more tries in 2 s, healed by itself; alarm: {text}"
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_66_affine_worker_replaced_or_killed() {
    let row = Row::new(66, "affine worker replaced and killed, session values");
    let scene = Scene::new();
    let pool = scene.pool(2).affinity(Affinity::StrictQueue);
    let snakepit = scene.host(pool).start().await.unwrap();
    let session = snakepit.session("s");
    let state = session.state().unwrap();
    let count = NewVariable::new("count", VariableType::Integer, 0);
    state.register(count).unwrap();
    let (mut lost, mut expected) = (0, 0);
    for round in 0..6 {
        for _ in 0..5 {
            let arguments =
                args! { "ledger" => scene.text("ledger"), "text" => expected.to_string() };
            match session.execute::<String>("note", arguments.clone()).await {
                Ok(_) => {}
                Err(Error::AffinityLost { .. }) => {
                    lost += 1;
                    session.execute::<String>("note", arguments).await.unwrap();
                }
                Err(error) => panic!("{error:?}"),
            }
            expected += 1;
            state.set("count", expected, None).unwrap();
        }
        let pid: u32 = session.execute("pid", ()).await.unwrap();
        let workers = snakepit.workers();
        let worker = workers.iter().find(|one| one.pid == Some(pid)).unwrap();
        if round % 2 == 0 {
            snakepit.recycle(&worker.id).await.unwrap();
        } else {
            kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).unwrap();
        }
        let there =
            |snakepit: &Snakepit, id: &WorkerId| snakepit.workers().iter().any(|one| one.id == *id);
        eventually_async("it is gone", || !there(&snakepit, &worker.id)).await;
    }
    let ledger = fs::read_to_string(scene.path("ledger")).unwrap();
    let seen: Vec<i64> = ledger.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(
        seen,
        (0..expected).collect::<Vec<_>>(),
        "each once, in order"
    );
    assert_eq!(lost, 5, "told once for each worker lost before a call");
    assert_eq!(*state.variable("count").unwrap().value, expected.into());
    drop((session, state));
    scene.close(snakepit).await;
    row.holds(
        "3 replaced and 3 killed: no value lost, 30 calls in order, AffinityLost once for each",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn row_66_a_stream_keeps_its_worker() {
    let row = Row::new(66, "worker replaced during a stream");
    let scene = Scene::new();
    let snakepit = scene.host(scene.pool(1)).start().await.unwrap();
    let arguments = args! { "n" => 20, "pid_file" => scene.text("pid"), "go" => scene.text("go") };
    let mut stream = snakepit
        .execute_stream::<i64>("count", arguments)
        .await
        .unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap(), 0);
    let streaming = file(&scene.path("pid")).await;
    let clock = Instant::now();
    let old = snakepit.workers()[0].id.clone();
    snakepit.recycle(&old).await.unwrap();
    let took = clock.elapsed();
    let other: u32 = snakepit.execute("pid", ()).await.unwrap();
    assert_ne!(other.to_string(), streaming);
    fs::write(scene.path("go"), "").unwrap();
    for expected in 1..20 {
        assert_eq!(stream.next().await.unwrap().unwrap(), expected);
    }
    assert!(stream.next().await.is_none());
    drop(stream);
    let gone = || snakepit.workers().iter().all(|one| one.id != old);
    eventually_async("the old worker ends", gone).await;
    scene.close(snakepit).await;
    row.holds(format!(
        "20 items in order, replacement took calls after {}",
        ms(took)
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_61_memory_above_the_limit() {
    let row = Row::new(61, "worker keeps more memory than allowed");
    let scene = Scene::new();
    let limit = 200 << 20;
    let pool = scene.pool(1).recycle(|recycle| {
        recycle.max_memory = Some(limit);
        recycle.memory_interval = Duration::from_millis(50);
        recycle.min_lifetime = Duration::ZERO;
    });
    let snakepit = scene.host(pool).start().await.unwrap();
    let memory = || snakepit.workers()[0].memory;
    eventually_async("its memory is looked at", || memory().is_some()).await;
    let small = memory().unwrap().bytes;
    assert!((1 << 20..limit).contains(&small), "{small}");
    let () = snakepit
        .execute("keep", args! { "mib" => 300 })
        .await
        .unwrap();
    eventually_async("it is replaced", || recycled(&snakepit) == 1).await;
    eventually_async("its memory is given back", || {
        memory().is_some_and(|one| one.peak_bytes < limit)
    })
    .await;
    scene.close(snakepit).await;
    row.holds(format!(
        "{} MiB at first, replaced with 300 MiB more, 0 errors",
        small >> 20
    ));
}
