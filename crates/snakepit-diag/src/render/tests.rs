//! Reports and findings as they are printed.

use super::*;
use crate::report::{Memory, Queue, Times};
use crate::{Capacity, Counters, Death, HostReport, WorkerState};

fn report() -> Report {
    let worker = |id: &str, load| WorkerReport {
        id: id.to_owned(),
        pid: Some(4711),
        status: if load > 0 {
            WorkerState::Busy
        } else {
            WorkerState::Available
        },
        capacity: 1,
        load,
        memory_bytes: Some(13 << 20),
        calls: 250,
        age_seconds: 90.0,
        ..WorkerReport::default()
    };
    let pool = PoolReport {
        pool: "main".to_owned(),
        profile: "process".to_owned(),
        state: "ready".to_owned(),
        worker_count: 2,
        target: 2,
        capacity: Capacity::new(2, 1),
        queue: Queue {
            limit: 1000,
            ..Queue::default()
        },
        memory: Memory::of([13 << 20, 14 << 20]),
        counters: Counters {
            requests: 501,
            succeeded: 499,
            errors: 1,
            ..Counters::default()
        },
        service_time: Times {
            count: 499,
            p50_us: 2000,
            p99_us: 5000,
            max_us: 1_200_000,
            ..Times::default()
        },
        workers: vec![
            worker("main-1", 0),
            WorkerReport {
                held_seconds: Some(4.0),
                ..worker("main-2", 1)
            },
        ],
        calls: vec![CallReport {
            call: 501,
            tool: "evil\u{1b}[2J".to_owned(),
            worker: "main-2".to_owned(),
            age_seconds: 4.0,
            left_seconds: Some(26.0),
            ..CallReport::default()
        }],
        ..PoolReport::default()
    };
    Report {
        host: HostReport {
            run: Some("4h8vq0".to_owned()),
            pid: 4700,
            program: "/opt/app/server".to_owned(),
            version: "0.1.0".to_owned(),
            uptime_seconds: 200.0,
        },
        pools: vec![pool],
        ..Report::default()
    }
}

const SHORT: &str = "\
host server  pid 4700  up 3 min  snakepit 0.1.0
run  4h8vq0

pool main  ready  process  2 workers
  slots   1/2 (50 %), queue 0/1000
  memory  27.0 MiB in all; each 13.5 MiB, 13.0 MiB to 14.0 MiB
  calls   501: 499 ok, 1 failed, 0 cancelled, 0 retried
  service median 2.00 ms, 99 % 5.00 ms, longest 1.2 s";

const DETAILS: &str = "
  WORKER  PID   STATUS     LOAD  MEMORY    CALLS  AGE
  main-1  4711  available  0/1   13.0 MiB  250    90 s
  main-2  4711  busy       1/1   13.0 MiB  250    90 s  GIL held 4 s
  CALL  TOOL           WORKER  AGE  WAITED  LEFT
  501   evil\\u{1b}[2J  main-2  4 s  0 µs    26 s";

#[test]
fn a_report_is_short_or_has_all_its_workers_and_calls() {
    assert_eq!(render_report(&report(), Style::default()), SHORT);
    let style = Style {
        detailed: true,
        ..Style::default()
    };
    assert_eq!(render_report(&report(), style), format!("{SHORT}{DETAILS}"));
}

#[test]
fn colours_are_there_when_they_are_wanted_and_nothing_else_escapes() {
    let style = Style {
        detailed: true,
        colour: true,
    };
    let text = render_report(&report(), style);
    assert!(text.contains("\x1b[32m1/2 (50 %)\x1b[0m"), "{text}");
    assert!(!text.contains("\x1b[2J"));
    assert!(!render_report(&report(), Style::default()).contains('\x1b'));
}

#[test]
fn findings_have_three_lines() {
    let text = render_findings(&report().findings(None), Style::default());
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines[0],
        "warning  worker `main-2` holds the GIL for 4 s, in tool `evil\\u{1b}[2J`"
    );
    assert!(
        lines[1].starts_with("         why: no other thread"),
        "{text}"
    );
    assert!(
        lines[2].starts_with("         do:  locate the code"),
        "{text}"
    );
    assert_eq!(lines.len(), 3);
    assert_eq!(render_findings(&[], Style::default()), "");
}

/// Replaces every text of a document.
fn retold(json: &mut serde_json::Value, text: &str) {
    match json {
        serde_json::Value::String(own) => text.clone_into(own),
        serde_json::Value::Array(items) => items.iter_mut().for_each(|one| retold(one, text)),
        serde_json::Value::Object(map) => map.values_mut().for_each(|one| retold(one, text)),
        _ => {}
    }
}

#[test]
fn no_text_of_a_host_reaches_the_terminal_as_it_is() {
    let mut report = report();
    let death = Death::default();
    let pool = &mut report.pools[0];
    (pool.start_error, pool.last_exit) = (Some(String::new()), Some(String::new()));
    pool.deaths.push(death.clone());
    let worker = &mut pool.workers[0];
    (worker.unhealthy, worker.recycling) = (Some(String::new()), Some(String::new()));
    worker.last_death = Some(death);
    let style = Style {
        colour: false,
        detailed: true,
    };
    let shown = |text: &str| {
        let mut json = serde_json::to_value(&report).unwrap();
        retold(&mut json, text);
        let report: Report = serde_json::from_value(json).unwrap();
        let findings = report.findings(None);
        assert!(!findings.is_empty());
        let findings = render_findings(&findings, style);
        format!("{}\n{findings}", render_report(&report, style))
    };
    let evil = shown("a\u{1b}[2J\n\u{9b}2J\u{202e}pool forged");
    let unsafe_lines = evil.lines().filter(|line| !Printable(line).is_safe());
    assert_eq!(unsafe_lines.collect::<Vec<_>>(), Vec::<&str>::new());
    assert_eq!(evil.lines().count(), shown("a").lines().count(), "{evil}");
}

#[test]
fn a_cell_may_be_longer_than_a_format_can_pad() {
    let long = "w".repeat(70_000);
    let mut table = Table::new(["worker", "state"]);
    table.row([long.clone(), "idle".to_owned()]);
    table.row(["short".to_owned(), "busy".to_owned()]);
    let text = table.render("", false);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[1], format!("{long}  idle"));
    assert_eq!(lines[2], format!("short{}busy", " ".repeat(69_997)));
}
