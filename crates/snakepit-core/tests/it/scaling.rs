//! Pools that grow and shrink with their load, and spare workers.

use std::time::Duration;

use snakepit_core::call::CallOptions;
use snakepit_core::policy::{AutoscalePolicy, ScaleReason};
use snakepit_core::pool::{Pool, PoolConfig, WorkerState, WorkerStatus};
use snakepit_core::testing::{Script, ScriptedProfile};
use snakepit_core::worker::TelemetryControl;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::support::{LONG, balanced, begin, call, config, payload, ready, start, until};

/// Duration of `nap`.
const NAP: Duration = Duration::from_millis(10);

fn scaled(min: usize, max: usize) -> PoolConfig {
    let mut policy = AutoscalePolicy::default();
    (policy.min, policy.max) = (min, max);
    policy.target_delay = Duration::from_millis(50);
    policy.cool_down = Duration::from_secs(1);
    policy.idle = Duration::from_secs(10);
    let mut config = config(min);
    config.autoscale = Some(policy);
    config.queue_timeout = LONG;
    config.start_concurrency = 2;
    config
}

/// Starts callers that call without end.
fn load(pool: &Pool, callers: usize) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        let pool = pool.clone();
        tasks.spawn(async move {
            loop {
                let result = pool.execute("nap", payload(1), &CallOptions::new()).await;
                result.expect("a nap ends well");
            }
        });
    }
    tasks
}

/// Returns how often the pool has grown and shrunk.
fn changes(pool: &Pool) -> (u64, u64) {
    let scaling = pool.status().scaling.expect("it scales");
    (scaling.grown, scaling.shrunk)
}

#[tokio::test(start_paused = true)]
async fn a_pool_grows_under_load_and_shrinks_when_it_is_over() {
    let profile = ScriptedProfile::new(1);
    profile.otherwise(Script::Slow(Duration::from_millis(500)));
    let pool = ready(scaled(1, 6), &profile).await;
    assert_eq!(pool.status().workers, 1);
    let mut callers = load(&pool, 100);
    let begin = Instant::now();
    while pool.status().ready < 6 {
        sleep(NAP).await;
        // One step at a time, of as many as may start at once.
        assert!(pool.status().starting <= 2);
    }
    assert!(
        begin.elapsed() < Duration::from_secs(7),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(changes(&pool), (3, 0));
    let scaling = pool.status().scaling.unwrap();
    assert_eq!(
        (scaling.from, scaling.reason),
        (Some(5), Some(ScaleReason::Delay))
    );
    sleep(LONG).await;
    assert_eq!((changes(&pool), pool.status().workers), ((3, 0), 6));
    callers.shutdown().await;
    let over = Instant::now();
    while pool.status().workers > 1 {
        sleep(NAP).await;
    }
    let took = over.elapsed().as_secs();
    assert!((9..=17).contains(&took), "{took}");
    until(|| profile.workers().len() == 1).await;
    assert_eq!(
        pool.status().scaling.unwrap().reason,
        Some(ScaleReason::Idle)
    );
    // Once more: the measurements in the pause do not count.
    let _callers = load(&pool, 100);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(pool.status().ready, 6);
}

#[tokio::test(start_paused = true)]
async fn a_constant_load_does_not_make_a_pool_swing() {
    for callers in [1, 3, 8, 20] {
        let pool = ready(scaled(1, 8), &ScriptedProfile::new(1)).await;
        let _callers = load(&pool, callers);
        sleep(LONG / 4).await;
        let before = (changes(&pool), pool.status().workers);
        sleep(LONG).await;
        assert_eq!((changes(&pool), pool.status().workers), before, "{callers}");
        assert_eq!(before.0.1, 0, "{callers}: {before:?}");
        let delay = pool.status().queue_time;
        assert!(delay.p50_us <= 60_000, "{callers}: {delay:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_get_no_slot_at_all_make_a_pool_grow() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(scaled(1, 3), &profile).await;
    let stuck = begin(&pool, "gate").await;
    let before = Instant::now();
    call(&pool, "echo").await.unwrap();
    assert!(
        before.elapsed() <= Duration::from_millis(200),
        "{:?}",
        before.elapsed()
    );
    profile.allow(1);
    stuck.await.unwrap().unwrap();
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_size_set_by_hand_stays_for_a_while_and_within_the_limits() {
    let pool = ready(scaled(2, 6), &ScriptedProfile::new(1)).await;
    assert!(pool.resize(1).await.is_err() && pool.resize(7).await.is_err());
    pool.resize(5).await.unwrap();
    sleep(Duration::from_secs(9)).await;
    assert_eq!(pool.status().workers, 5);
    sleep(Duration::from_secs(10)).await;
    assert_eq!((pool.status().workers, changes(&pool)), (2, (0, 3)));
}

fn with_spares(workers: usize, spares: usize) -> PoolConfig {
    let mut config = config(workers);
    config.spares = spares;
    config
}

fn spare(pool: &Pool) -> Vec<WorkerStatus> {
    let mut workers = pool.workers();
    workers.retain(|worker| worker.state == WorkerState::Spare);
    workers
}

#[tokio::test(start_paused = true)]
async fn a_spare_takes_the_place_of_a_dead_worker_at_once() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(with_spares(2, 1), &profile).await;
    until(|| pool.status().spares == 1).await;
    profile.otherwise(Script::Slow(Duration::from_secs(5)));
    let name = spare(&pool)[0].id.clone();
    sleep(Duration::from_secs(1)).await;
    let before = Instant::now();
    profile.workers()[0].die("killed by signal 9", false);
    until(|| pool.status().ready == 2 && pool.status().spares == 0).await;
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert!(spare(&pool).is_empty());
    // The worker gets calls now.
    let calls = [begin(&pool, "gate").await, begin(&pool, "gate").await];
    let used = profile.workers().into_iter().find(|one| *one.id() == name);
    until(|| used.as_ref().is_some_and(|one| one.running() == 1)).await;
    profile.allow(2);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    // Another spare starts in the background.
    sleep(Duration::from_secs(6)).await;
    let status = pool.status();
    assert_eq!((status.ready, status.spares, status.restarts), (2, 1, 1));
    assert_eq!(profile.starts(), 4);
    balanced(&status);
}

#[tokio::test(start_paused = true)]
async fn a_spare_has_the_settings_of_telemetry_before_it_takes_a_place() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(with_spares(1, 2), &profile).await;
    until(|| pool.status().spares == 2).await;
    let settings = || {
        let workers = profile.workers().into_iter();
        workers.map(|one| one.telemetry()).collect::<Vec<_>>()
    };
    let mut control = TelemetryControl::off();
    pool.set_telemetry(control.clone()).unwrap();
    assert_eq!(settings(), vec![Some(control.clone()); 3]);
    // A worker that is starting gets settings that change meanwhile.
    profile.otherwise(Script::Slow(Duration::from_secs(5)));
    profile.workers()[0].die("killed by signal 9", false);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(profile.starts(), 4);
    control.sampling = 0.5;
    pool.set_telemetry(control.clone()).unwrap();
    sleep(Duration::from_secs(6)).await;
    assert_eq!(pool.status().spares, 2);
    assert_eq!(settings(), vec![Some(control); 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_settings_of_one_worker_hold_from_the_moment_it_is_ready() {
    let own = TelemetryControl::off();
    for _ in 0..50 {
        let profile = ScriptedProfile::new(1);
        let pool = start(config(1), &profile);
        let (pool_of_thread, profile_of_thread, set) = (pool.clone(), profile.clone(), own.clone());
        let setting = std::thread::spawn(move || {
            let started = || {
                profile_of_thread
                    .workers()
                    .first()
                    .map(|one| one.id().clone())
            };
            while !started()
                .is_some_and(|id| pool_of_thread.set_worker_telemetry(&id, &set).unwrap())
            {
                std::hint::spin_loop();
            }
        });
        pool.await_ready(LONG).await.unwrap();
        tokio::task::spawn_blocking(|| setting.join().unwrap())
            .await
            .unwrap();
        let worker = profile.workers().remove(0);
        // After this, the supervisor sends nothing more.
        pool.close().await;
        assert_eq!(worker.telemetry().as_ref(), Some(&own));
    }
}

#[tokio::test(start_paused = true)]
async fn a_spare_gets_no_calls() {
    let profile = ScriptedProfile::new(1);
    let mut config = with_spares(1, 2);
    config.queue_timeout = Duration::from_secs(1);
    let pool = ready(config, &profile).await;
    until(|| pool.status().spares == 2).await;
    let first = begin(&pool, "gate").await;
    assert!(call(&pool, "nap").await.is_err(), "the only slot is taken");
    profile.allow(1);
    first.await.unwrap().unwrap();
    let _callers = load(&pool, 4);
    sleep(LONG).await;
    let names: Vec<_> = spare(&pool).into_iter().map(|one| one.id).collect();
    assert_eq!(names.len(), 2);
    for worker in profile.workers() {
        assert_eq!(
            worker.calls() == 0,
            names.contains(worker.id()),
            "{}",
            worker.id()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn closing_ends_spares_and_those_that_start() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(with_spares(1, 1), &profile).await;
    until(|| pool.status().spares == 1).await;
    profile.otherwise(Script::Slow(LONG));
    // A worker that started well is replaced without a wait.
    sleep(Duration::from_secs(1)).await;
    profile.workers()[1].die("killed by signal 9", false);
    until(|| pool.status().starting == 1).await;
    assert_eq!((pool.status().spares, pool.status().ready), (0, 1));
    pool.close().await;
    assert!(profile.workers().is_empty() && pool.workers().is_empty());

    let profile = ScriptedProfile::new(1);
    let pool = ready(with_spares(1, 2), &profile).await;
    until(|| pool.status().spares == 2).await;
    drop(pool);
    until(|| profile.workers().is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn spares_that_keep_dying_do_not_take_the_pool_along() {
    let profile = ScriptedProfile::new(1);
    let mut config = with_spares(1, 1);
    config.restart.max_restarts = 3;
    let pool = ready(config, &profile).await;
    until(|| pool.status().spares == 1).await;
    profile.otherwise(Script::Die);
    sleep(Duration::from_secs(1)).await;
    let spare = spare(&pool)[0].id.clone();
    let victim = profile.workers().into_iter().find(|one| *one.id() == spare);
    victim.unwrap().die("killed by signal 9", false);
    sleep(Duration::from_secs(30)).await;
    assert!(pool.status().start_error.is_some());
    assert!(profile.starts() <= 2 + 4, "{}", profile.starts());
    call(&pool, "echo").await.unwrap();
    profile.otherwise(Script::Ready);
    sleep(Duration::from_secs(60)).await;
    assert_eq!((pool.status().spares, pool.status().start_error), (1, None));
}

#[tokio::test(start_paused = true)]
async fn recycling_growing_and_deaths_go_together_with_spares() {
    let profile = ScriptedProfile::new(1);
    let mut config = scaled(2, 4);
    config.spares = 1;
    config.recycle.max_requests = Some(20);
    config.recycle.min_lifetime = Duration::ZERO;
    config.restart.max_restarts = 10_000;
    config.restart.max_backoff = Duration::from_millis(100);
    let pool = ready(config, &profile).await;
    profile.otherwise(Script::Slow(Duration::from_millis(30)));
    let mut callers = JoinSet::new();
    for _ in 0..40 {
        let pool = pool.clone();
        callers.spawn(async move {
            // Calls in workers that are killed fail.
            loop {
                drop(pool.execute("nap", payload(1), &CallOptions::new()).await);
            }
        });
    }
    for _ in 0..100 {
        sleep(Duration::from_millis(fastrand::u64(50..500))).await;
        if let Some(victim) = fastrand::choice(&profile.workers()) {
            victim.die("killed by signal 9", false);
        }
    }
    assert_eq!(pool.status().workers, 4);
    assert!(pool.status().recycled > 100, "{}", pool.status().recycled);
    // Four workers, the spare, and one in replacement.
    assert!(profile.most() <= 6, "{}", profile.most());
    callers.shutdown().await;
    sleep(Duration::from_secs(6)).await;
    let status = pool.status();
    assert_eq!((status.ready, status.spares), (4, 1));
    pool.close().await;
    assert!(profile.workers().is_empty());
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn spares_start_after_the_workers_and_not_before() {
    let profile = ScriptedProfile::new(1);
    profile.otherwise(Script::Slow(Duration::from_secs(1)));
    let mut config = with_spares(2, 2);
    config.start_concurrency = 1;
    let pool = start(config, &profile);
    pool.await_all_ready(LONG).await.unwrap();
    assert_eq!((pool.status().ready, pool.status().spares), (2, 0));
    sleep(Duration::from_secs(3)).await;
    assert_eq!((pool.status().ready, pool.status().spares), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn waiting_calls_get_the_spare_even_when_the_pool_gives_up() {
    let profile = ScriptedProfile::new(1);
    let mut config = with_spares(1, 1);
    config.restart.max_restarts = 0;
    let pool = ready(config, &profile).await;
    until(|| pool.status().spares == 1).await;
    let first = begin(&pool, "gate").await;
    let waiting = begin(&pool, "echo").await;
    let busy = profile.workers().into_iter().find(|one| one.running() == 1);
    busy.unwrap().die("killed by signal 9", false);
    assert!(first.await.unwrap().is_err());
    waiting.await.unwrap().unwrap();
    assert!(
        pool.status().start_error.is_some(),
        "no further one starts for now"
    );
    balanced(&pool.status());
}
