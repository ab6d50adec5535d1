//! Configurations, good and bad.

use std::path::Path;
use std::time::Duration;

use super::Config;
use crate::{BuildError, ErrorCode};

fn load(text: &str, variables: &[(&str, &str)]) -> (tempfile::TempDir, Result<Config, BuildError>) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("snakepit.toml");
    std::fs::write(&file, text).unwrap();
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let config = Config::from_sources(Some(&file), variables);
    (dir, config)
}

/// Code, key and message of the error; the location must be the file or the variable.
fn failure(text: &str, variables: &[(&str, &str)]) -> (ErrorCode, String, String, String, String) {
    let (_dir, config) = load(text, variables);
    match config.unwrap_err() {
        BuildError::Config { error, location } => {
            let location = location.expect("every setting comes from somewhere");
            (error.code, error.key, error.message, error.help, location)
        }
        other => panic!("{other:?}"),
    }
}

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
        dependent = false
        containment = "pid_namespace"
        affinity = "strict_queue"
        queue_limit = 5
        queue_timeout = 1.5
        call_timeout = 60
        start_timeout = "2m"
        start_concurrency = 2
        drain_timeout = "7s"
        stop_grace = "250ms"
        cancel_grace = "1s"
        max_payload = "64MiB"
        warm_up = "load"
        [pools.gpu.restart]
        initial_backoff = "10ms"
        max_backoff = "1s"
        max_restarts = 3
        window = "20s"
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
    assert_eq!(config.data_dir.unwrap(), dir.path().join("state"));
    assert_eq!(gpu.config().drain_timeout, Duration::from_secs(7));
    assert_eq!(gpu.config().stop_grace, Duration::from_millis(250));
    let state = &config.state;
    assert_eq!(state.sessions.ttl, Duration::from_secs(1800));
    assert_eq!(state.sessions.max_session_bytes, 1 << 20);
    assert_eq!(state.tools.max_depth, 3);
    assert_eq!(gpu.config().affinity, crate::Affinity::StrictQueue);
    let dependent = |pool: &crate::PoolBuilder| {
        let mut seen = None;
        let _ = pool
            .clone()
            .configure_python(|python| seen = Some(python.dependent));
        seen
    };
    assert_eq!((dependent(main), dependent(gpu)), (Some(true), Some(false)));
    assert_eq!(gpu.config().max_payload, 64 << 20);
    assert_eq!(gpu.config().restart.max_restarts, 3);
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

#[test]
fn variables_win_over_the_file() {
    let text = "[pools.main]\nadapter = 'tools.py'\nworkers = 2\n";
    let variables = [
        ("SNAKEPIT_POOLS__MAIN__WORKERS", "7"),
        ("SNAKEPIT_POOLS__MAIN__RESTART__WINDOW", "5s"),
        ("SNAKEPIT_DEFAULTS__QUEUE_LIMIT", "9"),
        ("SNAKEPIT_DATA_DIR", "/elsewhere"),
        ("SNAKEPIT_PYTHON", "/nowhere"),
        ("SNAKEPIT_LOG", "debug"),
        ("SNAKEPIT_BRIDGE", "/nowhere"),
        ("UNRELATED", "1"),
    ];
    let (_dir, config) = load(text, &variables);
    let config = config.unwrap();
    let main = config.pools[0].config().clone();
    assert_eq!((main.workers, main.queue_limit), (7, 9));
    assert_eq!(main.restart.window, Duration::from_secs(5));
    assert_eq!(config.data_dir.unwrap().to_str(), Some("/elsewhere"));
}

#[test]
fn a_pool_can_come_from_variables_alone() {
    let variables = [(
        "SNAKEPIT_POOLS__MAIN__ADAPTER".to_owned(),
        "tools.py".to_owned(),
    )];
    let config = Config::from_sources(None, variables).unwrap();
    assert_eq!(config.pools[0].name().as_str(), "main");
}

#[test]
fn an_unknown_key_names_the_file_the_key_and_the_nearest() {
    let (code, key, message, help, location) =
        failure("[pools.main]\nadapter = 'tools.py'\nworker = 2\n", &[]);
    assert_eq!(code, ErrorCode::UnknownKey);
    assert_eq!(key, "pools.main.worker");
    assert_eq!(message, "is not a known key");
    assert_eq!(help, "did you mean `workers`?");
    assert!(location.ends_with("snakepit.toml"), "{location}");
}

#[test]
fn an_unknown_variable_names_the_variable() {
    let text = "[pools.main]\nadapter = 'tools.py'\n";
    for (variable, key) in [
        ("SNAKEPIT_POOLS__MAIN__WROKERS", "pools.main.wrokers"),
        ("SNAKEPIT_POOL", "pool"),
    ] {
        let (code, found, _, help, location) = failure(text, &[(variable, "1")]);
        assert_eq!((code, found.as_str()), (ErrorCode::UnknownKey, key));
        assert!(help.starts_with("did you mean"), "{help}");
        assert_eq!(location, variable);
    }
}

#[test]
fn wrong_values_name_the_key() {
    for (line, key, says) in [
        ("workers = 0", "workers", "got 0"),
        ("workers = 1025", "workers", "got 1025"),
        ("workers = -1", "workers", "-1"),
        ("workers = 'many'", "workers", "got \"many\""),
        ("workers = 1.5", "workers", "got 1.5"),
        ("queue_timeout = 'soon'", "queue_timeout", "a duration"),
        ("queue_timeout = -1", "queue_timeout", "a duration"),
        ("max_payload = '1 apple'", "max_payload", "a size"),
        ("profile = 'thread'", "profile", "\"process\""),
        ("env = 3", "env", "got 3"),
        (
            "recycle = { max_requests = 0 }",
            "recycle.max_requests",
            "got 0",
        ),
        ("recycle = { jitter = 1.5 }", "recycle.jitter", "got 1.5"),
        ("recycle = { mode = 'never' }", "recycle.mode", "never"),
        (
            "restart = { max_restarts = 'x' }",
            "restart.max_restarts",
            "got \"x\"",
        ),
    ] {
        let text = format!("[pools.main]\nadapter = 'tools.py'\n{line}\n");
        let (code, found, message, _, location) = failure(&text, &[]);
        assert_eq!(code, ErrorCode::InvalidConfig, "{line}");
        assert_eq!(found, format!("pools.main.{key}"), "{line}");
        assert!(message.contains(says), "{line}: {message}");
        assert!(location.ends_with("snakepit.toml"), "{line}: {location}");
    }
}

#[test]
fn a_pool_needs_an_adapter() {
    let (code, key, ..) = failure("[pools.main]\nworkers = 1\n", &[]);
    assert_eq!(
        (code, key.as_str()),
        (ErrorCode::InvalidConfig, "pools.main.adapter")
    );
}

#[test]
fn a_syntax_error_names_the_line() {
    let (code, _, message, _, location) = failure("[pools.main\n", &[]);
    assert_eq!(code, ErrorCode::InvalidConfig);
    assert!(message.contains("line 1"), "{message}");
    assert!(location.ends_with("snakepit.toml"));
}

#[test]
fn a_missing_file_is_an_error() {
    let error = Config::from_sources(Some(Path::new("no/such/file.toml")), []).unwrap_err();
    assert!(matches!(error, BuildError::File { .. }), "{error:?}");
    assert_eq!(error.code(), ErrorCode::InvalidConfig);
}
