//! The schema and the program accept the same files and reject the same files.

use std::io::Write as _;
use std::process::{Command, Stdio};

use figment::providers::{Format as _, Toml};
use serde_json::{Value, json};

use super::catalogue::{flat, of_host, sample, toml};
use super::load;
use super::schema::schema;

/// Prints a list: for each document, whether the schema accepts it.
const SCRIPT: &str = "
import json, sys
import jsonschema
job = json.load(sys.stdin)
jsonschema.Draft7Validator.check_schema(job['schema'])
schema = jsonschema.Draft7Validator(job['schema'])
json.dump([schema.is_valid(document) for document in job['documents']], sys.stdout)
";

/// Returns for each file whether the schema accepts it. `None` without Python and `jsonschema`,
/// which is an error in continuous integration (`CI=true`).
fn accepted(files: &[String]) -> Option<Vec<bool>> {
    let python = std::env::var("SNAKEPIT_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let documents: Vec<Value> = files
        .iter()
        .map(|text| Toml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}")))
        .collect();
    let job = json!({ "schema": schema(), "documents": documents });
    let mut child = Command::new(&python)
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take().unwrap();
    // A Python without the module ends before it reads.
    let _ = stdin.write_all(job.to_string().as_bytes());
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    if output.status.success() {
        return Some(serde_json::from_slice(&output.stdout).unwrap());
    }
    let reason = String::from_utf8_lossy(&output.stderr).into_owned();
    let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(
        !ci && reason.contains("No module named"),
        "{python}: {reason}"
    );
    eprintln!("skipped: {python} has no jsonschema");
    None
}

fn agree(files: &[String], valid: bool) {
    for text in files {
        assert_eq!(load(text, &[]).1.is_ok(), valid, "the program: {text}");
    }
    let Some(accepted) = accepted(files) else {
        return;
    };
    for (text, accepted) in files.iter().zip(accepted) {
        assert_eq!(accepted, valid, "the schema: {text}");
    }
}

fn pool(line: &str) -> String {
    format!("[pools.main]\nadapter = 'tools.py'\n{line}\n")
}

#[test]
fn both_accept_the_examples() {
    let page = include_str!("introduction.md");
    let (_, page) = page.split_once("```toml\n").unwrap();
    let (page, _) = page.split_once("```").unwrap();
    let mut files = vec![
        include_str!("../../../examples/snakepit.toml").to_owned(),
        include_str!("../../bin/snakepit/new/snakepit.toml.txt").to_owned(),
        page.to_owned(),
    ];
    for file in &files {
        assert!(file.starts_with("#:schema "), "{file}");
    }
    files.extend(of_host().iter().flat_map(flat).filter_map(|key| {
        let alone = !["telemetry.client_certificate", "telemetry.client_key"]
            .contains(&&*key.path.join("."));
        alone.then(|| format!("{} = {}\n", key.path.join("."), toml(&sample(&key))))
    }));
    agree(&files, true);
}

#[test]
fn both_accept_every_notation() {
    let lines = [
        "queue_timeout = 3",
        "queue_timeout = 0.5",
        "queue_timeout = '3'",
        "queue_timeout = '1.5s'",
        "queue_timeout = '250 ms'",
        "queue_timeout = '1h 30m'",
        "queue_timeout = '1.5 days'",
        "queue_timeout = '5 sec'",
        "queue_timeout = '1500 µs'",
        "max_payload = 65536",
        "max_payload = '65536'",
        "max_payload = '64MiB'",
        "max_payload = '64 KB'",
        "max_payload = '1G'",
        "workers = 'none'",
        "fairness = 'none'",
        "call_timeout = 'none'",
        "recycle = 'none'",
        "recycle = { max_age = 'none' }",
        "retry = {}",
        "env = { A = 'none' }",
    ];
    let mut files: Vec<String> = lines.iter().map(|line| pool(line)).collect();
    for ready in [
        "any",
        "socket",
        "file",
        "line",
        "line:READY ",
        "127.0.0.1:7000",
        "none",
    ] {
        files.push(format!(
            "[pools.main]\ncommand = ['a']\nready = '{ready}'\n"
        ));
    }
    agree(&files, true);
}

#[test]
fn both_reject_wrong_files() {
    let lines = [
        "workers = 'many'",
        "workers = -1",
        "workers = 1.5",
        "worker = 2",
        "reject_early = 'yes'",
        "queue_timeout = 'soon'",
        "queue_timeout = '1 parsec'",
        "queue_timeout = -1",
        "queue_timeout = true",
        "max_payload = '1 apple'",
        "max_payload = '1Gi'",
        "max_payload = 1.5",
        "fairness = 'lottery'",
        "fairness = 1",
        "profile = 'fibre'",
        "containment = 'box'",
        "event_loop = 'trio'",
        "warm_up = 3",
        "python = ['a']",
        "python_path = 'lib'",
        "python_path = [1]",
        "env = 3",
        "env = { A = 1 }",
        "concurrency = 0",
        "concurrency = 65536",
        "restart = []",
        "restart = { windows = '1s' }",
        "restart = { window = 'x' }",
        "recycle = { jitter = 'a' }",
        "recycle = { mode = 'never' }",
        "retry = 'some'",
        "tools = { f = { timeout = 'soon' } }",
        "tools = { f = { tries = 1 } }",
        "tools = { f = 3 }",
        "timeout_profile = 'fast'",
        "threads_per_worker = 65536",
    ];
    let mut files: Vec<String> = lines.iter().map(|line| pool(line)).collect();
    for text in [
        "pools = 3",
        "[pools]\nmain = 3",
        "[defaults]\nwrokers = 3",
        "admin = 'no'",
        "[session]\nttl = 3",
        "[sessions]\nttl = true",
        "[telemetry]\nsampling_rate = 1",
        "[telemetry]\nlog_level = 'loud'",
        "[telemetry]\nprometheus = '9464'",
        "[telemetry]\ncompression = 'zstd'",
        "[telemetry]\nlog_levels = { a = 'loud' }",
        "[pools.main]\ncommand = ['a']\nready = 'never'",
        "[pools.main]\ncommand = 'a'",
    ] {
        files.push(text.to_owned());
    }
    agree(&files, false);
}
