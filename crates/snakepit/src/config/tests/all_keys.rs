//! Every key of the file reaches its setting.

use super::*;

#[test]
fn all_keys_are_read() {
    let text = r#"
        default_pool = "gpu"
        data_dir = "state"
        [sessions]
        ttl = "30m"
        max_session_bytes = "1MiB"
        [host_tools]
        max_depth = 3
        [defaults]
        workers = 3
        call_timeout = "30s"
        strict_hints = true
        [pools.main]
        adapter = "tools.py"
        env = { A = "1" }
        [pools.gpu]
        adapter = "models.serving:Serving"
        profile = "process"
        workers = 1
        python = "bin/python"
        working_dir = "work"
        python_path = ["lib"]
        inherit_env = ["AWS_*"]
        threads = 2
        concurrency = 1000
        event_loop = "asyncio"
        strict_hints = "none"
        dependent = false
        containment = "pid_namespace"
        affinity = "strict_queue"
        queue_limit = 5
        spares = 2
        queue_bytes = "8MiB"
        session_queue_limit = 3
        queue_timeout = 1.5
        reject_early = false
        fairness = "session"
        call_timeout = 60
        stream_timeout = "3h"
        start_timeout = "2m"
        start_concurrency = 2
        drain_timeout = "7s"
        stop_grace = "250ms"
        cancel_grace = "1s"
        timeout_stacks = "20ms"
        max_payload = "64MiB"
        warm_up = "load"
        [pools.gpu.restart]
        initial_backoff = "10ms"
        max_backoff = "1s"
        max_restarts = 3
        window = "20s"
        min_lifetime = "3s"
        [pools.gpu.tools.train]
        timeout = "20m"
        queue_timeout = "1m"
        idempotent = true
        [pools.gpu.tools."a.b"]
        timeout = 1
        [pools.gpu.autoscale]
        max = 6
        target_delay = "20ms"
        [pools.gpu.quarantine]
        deaths = 3
        [pools.gpu.breaker]
        failures = 7
        [pools.gpu.tool_breaker]
        cool_down = "3s"
        [pools.gpu.retry]
        budget = 20
        [defaults.recycle]
        max_requests = 10
        min_lifetime = "1m"
        [pools.gpu.recycle]
        max_age = "1h"
        max_requests = 1000
        max_memory = "1GiB"
        memory_interval = "2s"
        memory_samples = 5
        jitter = 0.25
        max_drain = "1m"
        mode = "in_place"
        [defaults.heartbeat]
        enabled = false
        misses = 7
        [pools.gpu.heartbeat]
        enabled = true
        interval = "500ms"
        timeout = "4s"
        initial_delay = 1
        stall_timeout = "10m"
        kill_when_queued = true
        [defaults.health]
        failures = 5
        [pools.gpu.health]
        enabled = false
        interval = "1m"
        timeout = 2
    "#;
    let (dir, config) = load(text, &[]);
    let config = config.unwrap();
    assert_eq!(config.default_pool.unwrap().as_str(), "gpu");
    let [gpu, main] = &config.pools[..] else {
        panic!("two pools")
    };
    assert_eq!(main.config().workers, 3);
    assert_eq!(main.config().call_timeout, Some(Duration::from_secs(30)));
    assert_eq!(gpu.config().workers, 1);
    assert_eq!(gpu.config().call_timeout, Some(Duration::from_secs(60)));
    assert_eq!(gpu.config().queue_timeout, Duration::from_millis(1500));
    assert_eq!(gpu.config().queue_bytes, 8 << 20);
    let autoscale = gpu.config().autoscale.clone().unwrap();
    assert_eq!((autoscale.min, autoscale.max), (1, 6));
    assert_eq!(autoscale.target_delay, Duration::from_millis(20));
    assert_eq!(
        (main.config().autoscale.clone(), gpu.config().spares),
        (None, 2)
    );
    assert_eq!(gpu.config().session_queue_limit, Some(3));
    assert_eq!(gpu.config().fairness, crate::Fairness::Session);
    assert!(main.config().reject_early && !gpu.config().reject_early);
    assert_eq!(config.data_dir.unwrap(), dir.path().join("state"));
    assert_eq!(gpu.config().drain_timeout, Duration::from_secs(7));
    assert_eq!(gpu.config().stop_grace, Duration::from_millis(250));
    let state = &config.state;
    assert_eq!(state.sessions.ttl, Duration::from_secs(1800));
    assert_eq!(state.sessions.max_session_bytes, 1 << 20);
    assert_eq!(state.tools.max_depth, 3);
    assert_eq!(gpu.config().affinity, crate::Affinity::StrictQueue);
    let concurrency = |pool: &crate::PoolBuilder| {
        let mut seen = None;
        let _ = pool
            .clone()
            .configure_python(|python| seen = Some((python.concurrency, python.event_loop)));
        seen.map(|(calls, event_loop)| (calls.map(std::num::NonZeroU16::get), event_loop))
    };
    let (auto, asyncio) = (crate::EventLoop::Auto, crate::EventLoop::Asyncio);
    assert_eq!(concurrency(main), Some((None, auto)));
    assert_eq!(concurrency(gpu), Some((Some(1000), asyncio)));
    let strict = |pool: &crate::PoolBuilder| {
        let mut seen = None;
        let _ = pool
            .clone()
            .configure_python(|python| seen = python.strict_hints);
        seen
    };
    assert_eq!((strict(main), strict(gpu)), (Some(true), None));
    let dependent = |pool: &crate::PoolBuilder| {
        let mut seen = None;
        let _ = pool
            .clone()
            .configure_python(|python| seen = Some(python.dependent));
        seen
    };
    assert_eq!((dependent(main), dependent(gpu)), (Some(true), Some(false)));
    assert_eq!(gpu.config().timeout_stacks, Duration::from_millis(20));
    assert_eq!(gpu.config().max_payload, 64 << 20);
    let restart = &gpu.config().restart;
    assert_eq!(
        (restart.max_restarts, restart.min_lifetime.as_secs()),
        (3, 3)
    );
    assert_eq!(
        gpu.config().stream_timeout,
        Some(Duration::from_secs(3 * 3600))
    );
    let (train, other) = (&gpu.config().tools["train"], &gpu.config().tools["a.b"]);
    let minutes = |n: u64| Some(Duration::from_secs(60 * n));
    assert_eq!(
        (train.timeout, train.queue_timeout),
        (minutes(20), minutes(1))
    );
    assert_eq!((train.idempotent, other.idempotent), (true, false));
    assert_eq!(other.timeout, Some(Duration::from_secs(1)));
    let quarantine = gpu.config().quarantine.clone().unwrap();
    assert_eq!((quarantine.deaths, quarantine.duration.as_secs()), (3, 600));
    assert_eq!(main.config().quarantine, None);
    assert_eq!(gpu.config().retry.as_ref().map(|it| it.budget), Some(20));
    let breakers = (&gpu.config().breaker, &gpu.config().tool_breaker);
    assert_eq!(breakers.0.as_ref().map(|it| it.failures), Some(7));
    assert_eq!(
        breakers.1.as_ref().map(|it| it.cool_down.as_secs()),
        Some(3)
    );
    assert_eq!(gpu.config().warm_up.as_deref(), Some("load"));
    let recycle = &gpu.config().recycle;
    assert_eq!(recycle.max_age, Some(Duration::from_secs(3600)));
    assert_eq!(recycle.max_requests, Some(1000));
    assert_eq!(recycle.max_memory, Some(1 << 30));
    assert_eq!(recycle.memory_interval, Duration::from_secs(2));
    assert_eq!((recycle.memory_samples, recycle.jitter), (5, 0.25));
    assert_eq!(recycle.max_drain, Duration::from_secs(60));
    assert_eq!(recycle.min_lifetime, Duration::from_secs(60));
    assert_eq!(recycle.mode, crate::RecycleMode::InPlace);
    assert_eq!(main.config().recycle.max_requests, Some(10));
    let beat = &gpu.config().heartbeat;
    assert_eq!((beat.enabled, beat.misses), (true, 7));
    assert_eq!(beat.interval, Duration::from_millis(500));
    assert_eq!(beat.timeout, Duration::from_secs(4));
    assert_eq!(beat.initial_delay, Duration::from_secs(1));
    assert_eq!(beat.stall_timeout, Some(Duration::from_secs(600)));
    assert!(beat.kill_when_queued);
    let beat = &main.config().heartbeat;
    assert_eq!((beat.enabled, beat.misses), (false, 7));
    let health = &gpu.config().health;
    assert_eq!((health.enabled, health.failures), (false, 5));
    assert_eq!(health.interval, Duration::from_secs(60));
    assert_eq!(health.timeout, Duration::from_secs(2));
    let health = &main.config().health;
    assert_eq!((health.enabled, health.failures), (true, 5));
    let check = |pool: &crate::PoolBuilder, expected: &str| {
        let mut seen = String::new();
        let _ = pool
            .clone()
            .configure_python(|python| seen.clone_from(&python.adapter));
        assert_eq!(seen, expected);
    };
    check(main, dir.path().join("tools.py").to_str().unwrap());
    check(gpu, "models.serving:Serving");
    let mut paths = Vec::new();
    let _ = gpu.clone().configure_python(|python| {
        paths.extend(python.interpreter.clone());
        paths.extend(python.working_dir.clone());
        paths.extend(python.python_path.clone());
    });
    let expected = ["bin/python", "work", "lib"].map(|path| dir.path().join(path));
    assert_eq!(paths, expected);
}
