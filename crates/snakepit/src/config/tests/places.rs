//! Errors name file, line and column, also of settings from the defaults.

use super::{failure, load};

/// Returns line, column and key of the error.
fn place(text: &str, variables: &[(&str, &str)]) -> (String, String) {
    let (_, key, _, _, location) = failure(text, variables);
    let place = location.rsplit('/').next().unwrap_or_default();
    (place.to_owned(), key)
}

#[test]
fn a_bad_value_of_each_type_names_line_and_column() {
    for (line, column, key) in [
        ("workers = 'many'", 1, "workers"),
        ("  reject_early = 1", 3, "reject_early"),
        ("queue_timeout = 'soon'", 1, "queue_timeout"),
        ("max_payload = '1 apple'", 1, "max_payload"),
        ("max_payload = -1", 1, "max_payload"),
        ("fairness = 'sesion'", 1, "fairness"),
        ("fairness = 1", 1, "fairness"),
        ("warm_up = 3", 1, "warm_up"),
        ("python = 3", 1, "python"),
        ("python_path = ['a', 3]", 21, "python_path.1"),
        ("env = { A = '1', B = 2 }", 18, "env.B"),
        ("inherit_env = 'A'", 1, "inherit_env"),
        ("concurrency = 0", 1, "concurrency"),
        ("event_loop = 'uv'", 1, "event_loop"),
        ("thread_safety_checks = 'loud'", 1, "thread_safety_checks"),
        ("recycle = { jitter = 'a' }", 13, "recycle.jitter"),
        ("recycle.max_memory = 'a'", 9, "recycle.max_memory"),
        ("retry = { retires = 1 }", 11, "retry.retires"),
        ("retry = 'some'", 1, "retry"),
        ("restart = []", 1, "restart"),
        ("tools = { f = 3 }", 11, "tools.f"),
        (
            "tools = { f = { idempotent = 'no' } }",
            17,
            "tools.f.idempotent",
        ),
        ("workers = 0", 1, "workers"),
        ("heartbeat = { misses = 0 }", 15, "heartbeat.misses"),
        ("slots = 2", 1, "slots"),
        ("worker = 2", 1, "worker"),
    ] {
        let text = format!("[pools.main]\nadapter = 'tools.py'\n{line}\n");
        let expected = (
            format!("snakepit.toml:3:{column}"),
            format!("pools.main.{key}"),
        );
        assert_eq!(place(&text, &[]), expected, "{line}");
    }
}

#[test]
fn settings_of_the_host_are_found_too() {
    for (text, place_, key) in [
        ("data_dir = 3", "1:1", "data_dir"),
        ("default_pool = []", "1:1", "default_pool"),
        ("pools = 3", "1:1", "pools"),
        ("pools = { main = 3 }", "1:11", "pools.main"),
        ("[sessions]\nttl = true", "2:1", "sessions.ttl"),
        ("[sessions]\nttl = 0", "2:1", "sessions.ttl"),
        (
            "[host_tools]\n\nmax_depht = 1",
            "3:1",
            "host_tools.max_depht",
        ),
        ("[host_tool]\nmax_depth = 1", "1:2", "host_tool"),
    ] {
        let expected = (format!("snakepit.toml:{place_}"), key.to_owned());
        assert_eq!(place(text, &[]), expected, "{text}");
    }
}

#[test]
fn a_setting_from_the_defaults_has_its_place_there() {
    let pools = "[pools.a]\nadapter = 'a.py'\n[pools.b]\nadapter = 'b.py'\n";
    for (line, key) in [
        // The type is wrong for every pool, the number for the first one.
        ("workers = 'many'", "defaults.workers"),
        ("workers = 0", "pools.a.workers"),
        ("slots = 2", "pools.a.slots"),
        ("wrokers = 2", "defaults.wrokers"),
    ] {
        let text = format!("[defaults]\n{line}\n{pools}");
        let expected = ("snakepit.toml:2:1".to_owned(), key.to_owned());
        assert_eq!(place(&text, &[]), expected, "{line}");
    }
}

#[test]
fn a_missing_setting_has_the_place_of_its_table() {
    let expected = ("snakepit.toml:2:8".to_owned(), "pools.b.adapter".to_owned());
    assert_eq!(place("\n[pools.b]\n", &[]), expected);
    let text = "[pools.\"a.b\"]\nadapter = 'a.py'\nworkers = 0\n";
    assert_eq!(place(text, &[]).0, "snakepit.toml:3:1");
}

#[test]
fn a_variable_that_overrides_the_file_is_the_place() {
    let text = "[pools.main]\nadapter = 'tools.py'\nworkers = 2\n";
    let variable = "SNAKEPIT_POOLS__MAIN__WORKERS";
    assert_eq!(place(text, &[(variable, "many")]).0, variable);
    assert_eq!(place(text, &[(variable, "0")]).0, variable);
    assert!(load(text, &[(variable, "3")]).1.is_ok());
}
