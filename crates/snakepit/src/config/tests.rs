//! Valid and invalid configurations.

mod all_keys;
#[cfg(feature = "full")]
mod catalogue;
#[cfg(feature = "full")]
mod every_key;
mod foreign;
mod places;
#[cfg(feature = "full")]
mod reference;
#[cfg(feature = "full")]
mod schema;
#[cfg(feature = "telemetry")]
mod telemetry;
mod unset;
#[cfg(feature = "full")]
mod validation;

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

/// Returns code, key, message, help and location of the error.
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

/// Returns true for a place in the file, with line and column.
fn is_in_file(location: &str) -> bool {
    let mut parts = location.rsplitn(3, ':');
    let numbers = [parts.next(), parts.next()].map(|it| it.unwrap_or("").parse::<usize>());
    let file = parts.next().unwrap_or("");
    numbers.iter().all(|it| it.as_ref().is_ok_and(|it| *it > 0)) && file.ends_with("snakepit.toml")
}

#[test]
#[cfg(feature = "diag")]
fn a_host_is_closed_to_others_by_the_file_or_by_a_variable() {
    let pool = "[pools.main]\nadapter = 'tools.py'\n";
    let admin = |text: &str, variables: &[(&str, &str)]| {
        let (_dir, config) = load(&format!("{text}{pool}"), variables);
        config.unwrap().admin
    };
    assert_eq!(admin("", &[]), None);
    assert_eq!(admin("admin = false\n", &[]), Some(false));
    assert_eq!(
        admin("admin = false\n", &[("SNAKEPIT_ADMIN", "true")]),
        Some(true)
    );
    let (code, key, ..) = failure(&format!("admin = 'no'\n{pool}"), &[]);
    assert_eq!((code, &*key), (ErrorCode::InvalidConfig, "admin"));
}

#[test]
fn keys_of_times_go_before_their_profile_wherever_they_stand() {
    let text = "[defaults]\nqueue_timeout = '7s'\n[pools.main]\nadapter = 'tools.py'\n\
                call_timeout = '9s'\ntimeout_profile = 'batch'\n\
                [pools.other]\nadapter = 'tools.py'\n";
    let variables = [
        (
            "SNAKEPIT_POOLS__OTHER__TIMEOUT_PROFILE",
            "production_strict",
        ),
        ("SNAKEPIT_POOLS__OTHER__TOOLS__TRAIN__TIMEOUT", "1m"),
    ];
    let (_dir, config) = load(text, &variables);
    let pools = config.unwrap().pools;
    let times = |index: usize| {
        let config = pools[index].config();
        let (call, stream) = (config.call_timeout, config.stream_timeout);
        [call, stream, Some(config.queue_timeout)].map(|time| time.map(|time| time.as_secs()))
    };
    assert_eq!(times(0), [Some(9), None, Some(7)]);
    assert_eq!(times(1), [Some(60), Some(300), Some(7)]);
    let minute = Some(Duration::from_secs(60));
    assert_eq!(pools[1].config().tools["train"].timeout, minute);
    // The builder applies them in the order of its calls.
    let builder = crate::PoolBuilder::new("main", "tools.py")
        .timeout_profile(crate::TimeoutProfile::ProductionStrict)
        .queue_timeout(Duration::from_secs(1));
    let config = builder.config();
    assert_eq!(
        (config.call_timeout, config.queue_timeout.as_secs()),
        (minute, 1)
    );
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
    assert!(is_in_file(&location), "{location}");
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
        ("session_queue_limit = 0", "session_queue_limit", "got 0"),
        ("fairness = 'lottery'", "fairness", "lottery"),
        ("profile = 'fibre'", "profile", "\"process\" or \"thread\""),
        ("profile = 'thread'", "threads_per_worker", "is missing"),
        (
            "threads_per_worker = 4",
            "threads_per_worker",
            "is for the profile",
        ),
        (
            "profile = 'thread'\nthreads_per_worker = 0",
            "threads_per_worker",
            "between 1 and 256",
        ),
        (
            "thread_safety_checks = 'loud'",
            "thread_safety_checks",
            "\"strict\"",
        ),
        (
            "autoscale = { min = 3, max = 2 }",
            "autoscale.max",
            "between 3 and 1024, got 2",
        ),
        ("env = 3", "env", "got 3"),
        (
            "recycle = { max_requests = 0 }",
            "recycle.max_requests",
            "got 0",
        ),
        ("timeout_profile = 'fast'", "timeout_profile", "fast"),
        (
            "tools = { f = { timeout = 0 } }",
            "tools.f.timeout",
            "more than zero",
        ),
        (
            "tools = { f = { timeout = 'soon' } }",
            "tools.f.timeout",
            "a duration",
        ),
        ("recycle = { jitter = 1.5 }", "recycle.jitter", "got 1.5"),
        (
            "heartbeat = { misses = 0 }",
            "heartbeat.misses",
            "between 1 and 100",
        ),
        (
            "heartbeat = { interval = '1ms' }",
            "heartbeat.interval",
            "at least 10ms",
        ),
        (
            "health = { failures = 101 }",
            "health.failures",
            "between 1 and 100",
        ),
        (
            "health = { interval = '1ms' }",
            "health.interval",
            "at least 10ms",
        ),
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
        assert!(is_in_file(&location), "{line}: {location}");
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
    assert!(is_in_file(&location));
}

#[test]
fn a_missing_file_is_an_error() {
    let error = Config::from_sources(Some(Path::new("no/such/file.toml")), []).unwrap_err();
    assert!(matches!(error, BuildError::File { .. }), "{error:?}");
    assert_eq!(error.code(), ErrorCode::InvalidConfig);
}
