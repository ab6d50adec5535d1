//! The word `none` unsets optional settings; for wrong words the error suggests the right one.

use std::time::Duration;

use super::{failure, is_in_file, load};

const DEFAULTS: &str = r#"
    default_pool = "none"
    data_dir = "none"
    [defaults]
    adapter = "tools.py"
    profile = "thread"
    threads_per_worker = 4
    python = "bin/python"
    working_dir = "work"
    concurrency = 8
    session_queue_limit = 3
    call_timeout = "9s"
    stream_timeout = "9s"
    warm_up = "load"
    quarantine = { deaths = 2 }
    breaker = { failures = 2 }
    tool_breaker = { failures = 2 }
    retry = { retries = 2 }
    autoscale = { max = 3 }
    recycle = { max_age = "1d", max_requests = 5, max_memory = "1GiB" }
    heartbeat = { stall_timeout = "1m" }
    tools = { f = { timeout = "1s", queue_timeout = "1s" } }
    [pools.kept]
    [pools.unset]
"#;

const UNSET: &str = r#"
    profile = "process"
    threads_per_worker = "none"
    python = "none"
    working_dir = "none"
    concurrency = "none"
    session_queue_limit = "none"
    call_timeout = "none"
    stream_timeout = "none"
    warm_up = "none"
    quarantine = "none"
    breaker = "none"
    tool_breaker = "none"
    retry = "none"
    autoscale = "none"
    recycle = { max_age = "none", max_requests = "none", max_memory = "none" }
    heartbeat = { stall_timeout = "none" }
    tools = { f = { timeout = "none", queue_timeout = "none" } }
"#;

#[test]
fn every_optional_setting_can_be_unset() {
    let (_dir, config) = load(&format!("{DEFAULTS}{UNSET}"), &[]);
    let config = config.unwrap();
    assert_eq!((config.default_pool, config.data_dir), (None, None));
    let set = |index: usize| {
        let pool = &config.pools[index];
        let config = pool.config();
        let mut python = Vec::new();
        let _ = pool.clone().configure_python(|it| {
            python = vec![
                it.interpreter.is_some(),
                it.working_dir.is_some(),
                it.concurrency.is_some(),
            ];
        });
        let tool = &config.tools["f"];
        let more = [
            config.session_queue_limit.is_some(),
            config.call_timeout.is_some(),
            config.stream_timeout.is_some(),
            config.warm_up.is_some(),
            config.quarantine.is_some(),
            config.breaker.is_some(),
            config.tool_breaker.is_some(),
            config.retry.is_some(),
            config.autoscale.is_some(),
            config.recycle.max_age.is_some(),
            config.recycle.max_requests.is_some(),
            config.recycle.max_memory.is_some(),
            config.heartbeat.stall_timeout.is_some(),
            tool.timeout.is_some(),
            tool.queue_timeout.is_some(),
        ];
        python.extend(more);
        python
    };
    assert_eq!(set(0), [true; 18]);
    assert_eq!(set(1), [false; 18]);
    let day = Duration::from_secs(24 * 3600);
    assert_eq!(config.pools[0].config().recycle.max_age, Some(day));
}

#[test]
fn a_variable_unsets_too() {
    let variables = [
        ("SNAKEPIT_POOLS__KEPT__CALL_TIMEOUT", "none"),
        ("SNAKEPIT_POOLS__KEPT__RETRY", "none"),
    ];
    let (_dir, config) = load(DEFAULTS, &variables);
    let config = config.unwrap();
    let kept = config.pools[0].config();
    assert_eq!((kept.call_timeout, kept.retry.clone()), (None, None));
}

#[test]
fn wrong_words_get_the_right_one_and_errors_name_their_place() {
    for (line, key, help) in [
        ("profile = 'threads'", "profile", "did you mean `thread`?"),
        ("profile = 'fibre'", "profile", "leave it out"),
        ("fairness = 'sesion'", "fairness", "did you mean `session`?"),
        ("call_timeout = '1 parsec'", "call_timeout", "\"1d\""),
        ("call_timeout = true", "call_timeout", "a duration"),
        (
            "retry = { retires = 1 }",
            "retry.retires",
            "did you mean `retries`?",
        ),
        ("retry = 'some'", "retry", "write a value"),
    ] {
        let text = format!("[pools.main]\nadapter = 'tools.py'\n{line}\n");
        let (_, found, message, said, location) = failure(&text, &[]);
        assert_eq!(found, format!("pools.main.{key}"), "{line}");
        assert!(said.contains(help), "{line}: {message}; {said}");
        let (_dir, config) = load(&text, &[]);
        let shown = config.unwrap_err().to_string();
        assert!(
            shown.contains(": `pools.main.") && shown.contains("snakepit.toml:"),
            "{shown}"
        );
        assert!(is_in_file(&location));
    }
}
