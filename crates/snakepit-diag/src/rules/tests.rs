//! Each rule, with figures that trigger it and figures that do not.

use crate::report::{CallReport, Memory, Queue, Times, WorkerReport};
use crate::{Capacity, Counters, Death, Finding, Machine, PoolReport, Report, Severity};

const MB: u64 = 1 << 20;

/// A pool without problems: four workers with one slot each.
fn healthy() -> PoolReport {
    PoolReport {
        pool: "main".to_owned(),
        profile: "process".to_owned(),
        state: "ready".to_owned(),
        worker_count: 4,
        target: 4,
        capacity: Capacity::new(4, 1),
        memory: Memory::of([13 * MB; 4]),
        counters: Counters {
            requests: 500,
            succeeded: 499,
            ..Counters::default()
        },
        service_time: times(500, 2_000),
        queue_time: times(0, 0),
        workers: (1..=4).map(|n| worker(&format!("main-{n}"))).collect(),
        ..PoolReport::default()
    }
}

fn worker(id: &str) -> WorkerReport {
    WorkerReport {
        id: id.to_owned(),
        capacity: 1,
        memory_bytes: Some(13 * MB),
        ..WorkerReport::default()
    }
}

fn times(count: u64, micros: u64) -> Times {
    Times {
        count,
        mean_us: micros as f64,
        p50_us: micros,
        ..Times::default()
    }
}

fn report(at: f64, pool: PoolReport) -> Report {
    Report {
        at,
        machine: Machine {
            cpus: 2,
            memory_bytes: Some(4096 * MB),
            memory_available_bytes: Some(2048 * MB),
            ..Machine::default()
        },
        pools: vec![pool],
        ..Report::default()
    }
}

/// Returns the findings about a changed pool; `earlier` is the pool two seconds before.
fn problems(change: impl FnOnce(&mut PoolReport), earlier: Option<PoolReport>) -> Vec<Finding> {
    let mut pool = healthy();
    change(&mut pool);
    let earlier = earlier.map(|pool| report(1000.0, pool));
    report(1002.0, pool).findings(earlier.as_ref())
}

/// Returns the only finding.
fn one(findings: &[Finding]) -> (&str, Severity, &str) {
    assert_eq!(findings.len(), 1, "{findings:#?}");
    let finding = &findings[0];
    assert!(!finding.why.is_empty() && !finding.action.is_empty());
    (&finding.rule, finding.severity, &finding.what)
}

#[test]
fn a_healthy_pool_has_no_findings_and_no_advice() {
    assert!(problems(|_| {}, None).is_empty());
    assert!(problems(|_| {}, Some(healthy())).is_empty());
    assert!(report(0.0, healthy()).recommendations().is_empty());
    assert!(Report::default().findings(None).is_empty());
}

#[test]
fn a_worker_that_holds_the_gil_is_named_with_its_tool() {
    let held = |seconds: f64| {
        problems(
            |pool| {
                pool.workers[1].held_seconds = Some(seconds);
                pool.calls.push(CallReport {
                    tool: "crunch".to_owned(),
                    worker: "main-2".to_owned(),
                    ..CallReport::default()
                });
            },
            None,
        )
    };
    assert!(held(0.9).is_empty());
    let findings = held(4.0);
    let what = "worker `main-2` holds the GIL for 4 s, in tool `crunch`";
    assert_eq!(one(&findings), ("gil_held", Severity::Warning, what));
    assert_eq!(findings[0].worker.as_deref(), Some("main-2"));
    assert!(findings[0].action.contains("snakepit stack main-2"));
    assert_eq!(one(&held(10.0)).1, Severity::Critical);
}

#[test]
fn a_queue_in_which_calls_wait_longer_than_they_take_wants_workers() {
    let full = |pool: &mut PoolReport| {
        pool.capacity = Capacity::new(4, 4);
        pool.queue = Queue {
            depth: 9,
            ..Queue::default()
        };
        pool.queue_time = times(100, 5_000);
    };
    let findings = problems(full, None);
    let what = "calls of pool `main` wait 5.00 ms for a slot and take 2.00 ms; 9 calls wait now";
    assert_eq!(one(&findings), ("queue_delay", Severity::Warning, what));
    assert!(findings[0].action.contains("above 4"));
    let lately = problems(
        full,
        Some(PoolReport {
            queue_time: times(50, 1_000),
            ..healthy()
        }),
    );
    assert!(one(&lately).2.contains("wait 9.00 ms"), "{lately:?}");
    for silent in [
        problems(
            |pool| {
                full(pool);
                pool.queue_time = times(100, 1_000);
            },
            None,
        ),
        problems(
            |pool| {
                full(pool);
                pool.queue_time = times(19, 5_000);
            },
            None,
        ),
        problems(
            |pool| {
                full(pool);
                pool.queue.depth = 0;
            },
            None,
        ),
        problems(
            full,
            Some(PoolReport {
                queue_time: times(100, 5_000),
                ..healthy()
            }),
        ),
    ] {
        assert!(silent.is_empty(), "{silent:#?}");
    }
}

#[test]
fn calls_that_wait_beside_free_slots_are_bound_to_busy_workers() {
    let starving = |pool: &mut PoolReport| pool.queue.depth = 2;
    let what = "2 calls wait in pool `main` although 3 slots are free: the sessions of the calls are bound to busy workers";
    let expected = ("affinity_starves", Severity::Warning, what);
    assert_eq!(one(&problems(starving, None)), expected);
    let mut before = healthy();
    starving(&mut before);
    assert_eq!(one(&problems(starving, Some(before))), expected);
    assert!(
        problems(starving, Some(healthy())).is_empty(),
        "a moment is no hunger"
    );
    let starts = |pool: &mut PoolReport| {
        starving(pool);
        pool.state = "starting".to_owned();
    };
    assert!(problems(starts, None).is_empty());
}

#[test]
fn repetitions_are_a_storm_from_a_tenth_of_all_calls_on() {
    let retries = |requests, retries| {
        move |pool: &mut PoolReport| {
            pool.counters.requests = requests;
            pool.counters.retries = retries;
        }
    };
    let what = "pool `main` has retried 20 of 180 calls because their workers died";
    assert_eq!(
        one(&problems(retries(200, 20), None)),
        ("retry_storm", Severity::Warning, what)
    );
    assert_eq!(one(&problems(retries(60, 20), None)).1, Severity::Critical);
    assert!(problems(retries(400, 20), None).is_empty());
    assert!(
        problems(retries(20, 19), None).is_empty(),
        "too few to tell"
    );
    let mut before = healthy();
    retries(200, 20)(&mut before);
    assert!(
        problems(retries(220, 20), Some(before)).is_empty(),
        "it is over"
    );
}

#[test]
fn memory_that_reaches_its_limit_is_told_before() {
    let left = |seconds: f64| {
        problems(
            |pool| {
                pool.workers[0].memory_limit_bytes = Some(512 * MB);
                pool.workers[0].memory_limit_in_seconds = Some(seconds);
            },
            None,
        )
    };
    let what = "the memory of worker `main-1` grows and reaches its limit of 512 MiB in 6 min";
    assert_eq!(one(&left(360.0)), ("memory_trend", Severity::Warning, what));
    assert_eq!(one(&left(60.0)).1, Severity::Critical);
    assert!(left(601.0).is_empty());
}

#[test]
fn memory_that_grows_without_a_limit_is_a_leak() {
    let grown = |bytes: u64| move |pool: &mut PoolReport| pool.memory = Memory::of([bytes; 4]);
    let what = "each worker of pool `main` grows by 4.00 MiB a second, which fills the machine's memory in 2 min";
    let findings = problems(grown(21 * MB), Some(healthy()));
    assert_eq!(one(&findings), ("memory_leak", Severity::Warning, what));
    assert_eq!(
        one(&problems(grown(100 * MB), Some(healthy()))).1,
        Severity::Critical
    );
    assert!(
        problems(grown(14 * MB), Some(healthy())).is_empty(),
        "half a MiB a second"
    );
    assert!(
        problems(grown(21 * MB), None).is_empty(),
        "one look shows no growth"
    );
    let bounded = |pool: &mut PoolReport| {
        grown(21 * MB)(pool);
        pool.workers[0].memory_limit_bytes = Some(MB);
    };
    assert!(problems(bounded, Some(healthy())).is_empty());
    let on = |free: u64| {
        let mut later = report(1002.0, healthy());
        grown(21 * MB)(&mut later.pools[0]);
        later.machine.memory_available_bytes = Some(free * MB);
        later.findings(Some(&report(1000.0, healthy())))
    };
    assert_eq!(one(&on(57_000)).0, "memory_leak");
    assert!(on(58_000).is_empty(), "the memory lasts more than an hour");
}

#[test]
fn more_workers_than_the_memory_holds_are_too_many() {
    let large = |each: u64| problems(|pool| pool.memory = Memory::of([each * MB; 4]), None);
    let findings = large(1200);
    let what = "4 workers of pool `main` take 4.69 GiB, 1.17 GiB each; there is 4.00 GiB";
    assert_eq!(
        one(&findings),
        ("too_many_workers", Severity::Critical, what)
    );
    assert!(findings[0].action.starts_with("lower `workers` to 3"));
    assert!(large(900).is_empty());
}

#[test]
fn workers_that_die_and_start_and_die_are_churn() {
    let deaths = |number: usize, ago: f64| {
        problems(
            |pool| {
                let death = Death {
                    at: 1002.0 - ago,
                    exit: "killed by signal 11 (SIGSEGV)".to_owned(),
                    ..Death::default()
                };
                pool.deaths = vec![death; number];
            },
            None,
        )
    };
    let what = "3 workers of pool `main` died within the last 60 s; the last one: killed by signal 11 (SIGSEGV)";
    assert_eq!(one(&deaths(3, 10.0)), ("churn", Severity::Critical, what));
    assert!(deaths(2, 10.0).is_empty() && deaths(3, 61.0).is_empty());
}

#[test]
fn what_a_pool_says_of_itself_is_a_finding() {
    let given_up = problems(
        |pool| {
            pool.start_error = Some("no module `tools`".to_owned());
            pool.worker_count = 0;
        },
        None,
    );
    let what = "pool `main` has stopped starting workers: no module `tools`";
    assert_eq!(one(&given_up), ("gave_up", Severity::Critical, what));
    let open = problems(|pool| pool.open_circuits = 1, None);
    let what = "pool `main` has 1 circuit breaker that reject calls";
    assert_eq!(one(&open), ("circuit_open", Severity::Critical, what));
    let flat = problems(|pool| pool.workers[0].flat_seconds = Some(45.0), None);
    assert_eq!(one(&flat).0, "stalled");
    let unwell = problems(
        |pool| pool.workers[0].unhealthy = Some("no card".to_owned()),
        None,
    );
    assert_eq!(
        one(&unwell).2,
        "the health check of worker `main-1` fails: no card"
    );
    let full = |pool: &mut PoolReport| pool.counters.saturated = 7;
    assert_eq!(one(&problems(full, Some(healthy()))).0, "rejections");
    assert!(problems(full, None).is_empty(), "it may be long over");
}

#[test]
fn the_heaviest_finding_is_first_and_reports_of_other_hosts_count_for_nothing() {
    let mut pool = healthy();
    pool.workers[3].flat_seconds = Some(99.0);
    pool.open_circuits = 1;
    let findings = report(0.0, pool.clone()).findings(None);
    let rules: Vec<_> = findings.iter().map(|finding| &*finding.rule).collect();
    assert_eq!(rules, ["circuit_open", "stalled"]);
    let mut other = report(
        0.0,
        PoolReport {
            queue_time: times(1 << 40, 1),
            ..healthy()
        },
    );
    other.host.pid = 7;
    assert_eq!(report(2.0, pool).findings(Some(&other)), findings);
}

#[test]
fn advice_is_about_the_size_of_a_pool() {
    let advice = |change: &dyn Fn(&mut PoolReport)| {
        let mut pool = healthy();
        change(&mut pool);
        let found = report(0.0, pool).recommendations();
        found
            .into_iter()
            .map(|finding| (finding.rule, finding.severity))
            .collect::<Vec<_>>()
    };
    let said = |rule: &str, severity| vec![(rule.to_owned(), severity)];
    let used = |used| advice(&move |pool| pool.capacity = Capacity::new(100, used));
    assert!(used(59).is_empty());
    assert_eq!(used(60), said("saturation", Severity::Advice));
    assert_eq!(used(80), said("saturation", Severity::Warning));
    let busy = |pool: &mut PoolReport| pool.counters.requests = 1000;
    let idle = advice(&|pool| {
        busy(pool);
        pool.capacity = Capacity::new(10, 1);
    });
    assert_eq!(idle, said("too_large", Severity::Advice));
    assert!(
        advice(&|pool| {
            busy(pool);
            pool.capacity = Capacity::new(10, 1);
            pool.counters.queued = 1;
        })
        .is_empty()
    );
    let threads = advice(&|pool| {
        busy(pool);
        pool.threads.threads_per_worker = 16;
        pool.threads.average_load_per_worker = 3.0;
    });
    assert_eq!(threads, said("idle_threads", Severity::Advice));
    let unbounded = advice(&|pool| pool.memory = Memory::of([200 * MB; 4]));
    assert_eq!(unbounded, said("no_memory_limit", Severity::Advice));
    let heavy = advice(&|pool| {
        pool.memory = Memory::of([600 * MB; 4]);
        pool.workers[0].memory_limit_bytes = Some(1024 * MB);
    });
    assert_eq!(heavy, said("heavy_workers", Severity::Advice));
}
