//! Figures, and the conclusions from them.

use super::*;
use crate::Style;

const MB: u64 = 1 << 20;

/// A machine with enough of every resource for thousands of workers.
fn scaling() -> Scaling {
    Scaling {
        machine: Machine {
            memory_bytes: Some(100_000 * MB),
            memory_available_bytes: Some(90_000 * MB),
            open_files_limit: Some(100_000),
            open_files: Some(40),
            processes_limit: Some(50_000),
            cgroup_tasks_limit: Some(60_000),
            pid_max: Some(4_194_304),
            ..Machine::default()
        },
        cost: WorkerCost {
            memory_bytes: 10.0 * MB as f64,
            descriptors: 6.0,
            tasks: 3.0,
        },
        ..Scaling::default()
    }
}

fn usage() -> Usage {
    Usage {
        user_tasks: Some(100),
        cgroup_tasks: Some(100),
        tasks: Some(300),
        tasks_limit: Some(1_000_000),
        memory_left: 10_000 * MB,
        memory_limit: None,
        ports: Some(28_232),
    }
}

fn step(workers: usize) -> Step {
    Step {
        workers,
        ready: workers,
        started: workers,
        answered: workers,
        seconds: 1.0,
        ..Step::default()
    }
}

#[test]
fn each_resource_can_be_the_scarcest_one() {
    type Change = fn(&mut Machine, &mut Usage);
    let cases: [(&str, u64, Change); 7] = [
        ("descriptors", 10, |machine, _| {
            machine.open_files_limit = Some(105)
        }),
        ("user_processes", 100, |machine, _| {
            machine.processes_limit = Some(400)
        }),
        ("cgroup_processes", 0, |machine, _| {
            machine.cgroup_tasks_limit = Some(50)
        }),
        ("processes", 66, |_, usage| usage.tasks_limit = Some(500)),
        ("process_ids", 10_822, |machine, usage| {
            machine.pid_max = Some(32_768);
            (usage.user_tasks, machine.cgroup_tasks_limit) = (None, None);
            (machine.open_files_limit, machine.memory_available_bytes) = (None, None);
        }),
        ("memory", 100, |machine, _| {
            machine.memory_available_bytes = Some(11_000 * MB)
        }),
        ("memory", 20, |_, usage| usage.memory_limit = Some(200 * MB)),
    ];
    for (name, workers, change) in cases {
        let (mut scaling, mut usage) = (scaling(), usage());
        change(&mut scaling.machine, &mut usage);
        scaling.find_limits(&usage);
        let first = &scaling.limits[0];
        assert_eq!(
            (first.name, first.workers),
            (name, Some(workers)),
            "{first:?}"
        );
        assert!(!first.action.is_empty());
        let enough = usize::try_from(workers).unwrap();
        assert_eq!(scaling.exceeded(enough), None, "{name}");
        assert_eq!(scaling.exceeded(enough + 1).map(|it| it.name), Some(name));
        let breaks = scaling.breaks_first().unwrap();
        assert_eq!(
            (&*breaks.what, breaks.workers, breaks.seen),
            (name, workers, false)
        );
    }
}

#[test]
fn what_is_not_known_and_what_costs_nothing_limits_nothing() {
    let mut unknown = Scaling::default();
    unknown.find_limits(&Usage::default());
    assert_eq!((unknown.limits.len(), unknown.breaks_first()), (0, None));
    let mut scaling = scaling();
    scaling.find_limits(&usage());
    let ports = scaling.limits.last().unwrap();
    assert_eq!((ports.name, ports.workers), ("ports", None));
    assert_eq!(scaling.exceeded(100), None);
}

#[test]
fn what_was_seen_goes_before_what_follows() {
    let with = |step: Step| {
        let mut scaling = scaling();
        scaling.find_limits(&usage());
        scaling.steps = vec![step];
        scaling
            .breaks_first()
            .map(|it| (it.what, it.workers, it.seen))
    };
    let failed = Stop::Failed {
        error: "no".to_owned(),
    };
    let cases = [
        (Some(failed), 60, "start"),
        (Some(Stop::TooSlow), 60, "time"),
        (
            Some(Stop::Exhausted {
                limit: "memory".to_owned(),
            }),
            60,
            "memory",
        ),
        (None, 60, "answers"),
    ];
    for (stop, ready, what) in cases {
        let step = Step {
            ready,
            stop,
            answered: 60,
            ..step(100)
        };
        assert!(!step.reached());
        assert_eq!(with(step), Some((what.to_owned(), 60, true)));
    }
    assert!(step(100).reached());
    let breaks = with(step(100)).unwrap();
    assert_eq!((&*breaks.0, breaks.2), ("memory", false));
    let would = Stop::WouldExceed {
        limit: "descriptors".to_owned(),
    };
    let would = Step {
        stop: Some(would),
        ready: 0,
        started: 0,
        answered: 0,
        ..step(100_000)
    };
    assert_eq!(with(would), Some(("descriptors".to_owned(), 16_660, false)));
    let mut contended = scaling();
    contended.registry = Some(Contention {
        reservations: 110,
        failed: 2,
        ..Contention::default()
    });
    let breaks = contended.breaks_first().unwrap();
    assert_eq!((&*breaks.what, breaks.workers), ("registry", 108));
}

#[test]
fn the_text_names_what_breaks_and_escapes_what_workers_say() {
    let mut scaling = scaling();
    scaling.find_limits(&usage());
    scaling.spawn = Some(Rate {
        made: 64,
        seconds: 0.5,
        error: None,
    });
    let error = "bad\u{1b}[2J".to_owned();
    scaling.steps = vec![
        step(100),
        Step {
            ready: 3,
            stop: Some(Stop::Failed { error }),
            ..step(250)
        },
    ];
    let text = render_scaling(&scaling, Style::default());
    for part in [
        "64 processes in 500 ms, 128 a second",
        "descriptors",
        "all answer",
        "a worker did not start",
        "start broke first: a worker did not start: bad\\u{1b}[2J",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains('\u{1b}'), "{text}");
    assert_eq!(Rate::default().per_second(), 0.0);
}
