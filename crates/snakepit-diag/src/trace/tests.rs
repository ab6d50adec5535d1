//! Traces follow the rules of the Trace Event Format for any recording.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;
use crate::Death;

fn call(number: u64, worker: &str, slot: u16) -> RecordedCall {
    RecordedCall {
        call: number,
        caller: None,
        tool: "mean".to_owned(),
        worker: worker.to_owned(),
        slot,
        at: 1000.0 + number as f64 / 1e3,
        outcome: "ok",
        code: None,
        queued_us: 0,
        sent_us: 10,
        duration_us: Some(500),
        attempts: 1,
        items: 1,
        bytes_in: 9,
        bytes_out: 9,
    }
}

fn recording(calls: Vec<RecordedCall>) -> Recording {
    Recording {
        pool: "main".to_owned(),
        host_pid: 7,
        began: 999.0,
        damaged: 0,
        missing_bytes: 0,
        calls,
        deaths: Vec::new(),
    }
}

fn events(recordings: &[Recording]) -> Vec<Json> {
    let trace = serde_json::to_value(Trace::of("run", recordings, None, usize::MAX)).unwrap();
    assert_eq!(trace["displayTimeUnit"], "ms");
    assert_eq!(trace["otherData"]["run"], "run");
    trace["traceEvents"].as_array().unwrap().clone()
}

/// Process, thread and time.
type Place = (Option<u64>, Option<u64>, Option<u64>);

/// Checks the fields that the format requires of each phase, and that slices of one thread do not
/// overlap.
fn check(events: &[Json]) {
    let mut free: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    let mut open: BTreeMap<String, u64> = BTreeMap::new();
    let mut arrows: BTreeMap<String, Place> = BTreeMap::new();
    for event in events {
        let number = |key: &str| event[key].as_u64();
        assert!(
            event["name"].is_string() && number("pid").is_some(),
            "{event}"
        );
        match event["ph"].as_str().unwrap() {
            "M" => {
                let args = event["args"].as_object().unwrap();
                let wanted = match event["name"].as_str().unwrap() {
                    "process_name" | "thread_name" => args["name"].is_string(),
                    "thread_sort_index" => args["sort_index"].is_u64(),
                    _ => false,
                };
                assert!(wanted, "{event}");
            }
            "X" => {
                let lane = (number("pid").unwrap(), number("tid").unwrap());
                let (ts, dur) = (number("ts").unwrap(), number("dur").unwrap());
                let free = free.entry(lane).or_default();
                assert!(ts >= *free, "slices overlap: {event}");
                *free = ts + dur;
                assert!(event["cat"].is_string());
            }
            "b" => {
                let id = event["id"].as_str().unwrap().to_owned();
                assert!(open.insert(id, number("ts").unwrap()).is_none(), "{event}");
            }
            "e" => {
                let began = open.remove(event["id"].as_str().unwrap()).unwrap();
                assert!(number("ts").unwrap() >= began, "{event}");
            }
            "s" => {
                let place = (number("pid"), number("tid"), number("ts"));
                assert!(
                    arrows.insert(event["id"].to_string(), place).is_none(),
                    "{event}"
                );
                assert!(around(events, place), "no slice around {event}");
            }
            "f" => {
                let from = arrows.remove(&event["id"].to_string()).unwrap();
                let place = (number("pid"), number("tid"), number("ts"));
                assert!(from.2 <= place.2 && event["bp"] == "e", "{event}");
                assert!(around(events, place), "no slice around {event}");
            }
            "i" => assert!(event["s"] == "t" && number("ts").is_some() && number("tid").is_some()),
            other => panic!("no phase {other}"),
        }
    }
    assert!(open.is_empty() && arrows.is_empty(), "{open:?} {arrows:?}");
}

/// Returns whether a slice of this process and thread is open at this time.
fn around(events: &[Json], (pid, tid, ts): Place) -> bool {
    let mut slices = events.iter().filter(|event| event["ph"] == "X");
    slices.any(|slice| {
        let number = |key: &str| slice[key].as_u64().unwrap();
        let (begun, dur, ts) = (number("ts"), number("dur"), ts.unwrap());
        (Some(number("pid")), Some(number("tid"))) == (pid, tid)
            && (begun..begun + dur).contains(&ts)
    })
}

#[test]
fn each_slot_is_a_lane_and_each_wait_a_slice_of_its_own() {
    let mut waited = call(2, "main-10", 0);
    waited.queued_us = 300;
    waited.sent_us = 310;
    let mut refused = call(3, "", 0);
    (refused.outcome, refused.code) = ("queue_timeout", Some("SP4002".to_owned()));
    let calls = vec![call(1, "main-2", 0), waited, call(4, "main-2", 1), refused];
    let mut one = recording(calls);
    one.deaths.push(RecordedDeath {
        death: Death {
            worker: "main-2".to_owned(),
            at: 1000.5,
            cause: "killed".to_owned(),
            ..Death::default()
        },
        output: "last words".to_owned(),
    });
    let events = events(&[one]);
    check(&events);
    let of = |phase: &str| {
        events
            .iter()
            .filter(|it| it["ph"] == phase)
            .collect::<Vec<_>>()
    };
    let names: Vec<_> = of("M")
        .iter()
        .filter_map(|it| it["args"]["name"].as_str())
        .collect();
    assert_eq!(
        names,
        ["pool main", "main-2 slot 0", "main-2 slot 1", "main-10"]
    );
    assert_eq!((of("X").len(), of("b").len(), of("e").len()), (3, 2, 2));
    let slice = of("X")[0];
    assert_eq!(
        (&slice["ts"], &slice["dur"], &slice["tid"]),
        (&10.into(), &490.into(), &1.into())
    );
    assert_eq!(of("i")[0]["args"]["output"], "last words");
    assert_eq!(of("i")[0]["tid"], 1);
}

#[test]
fn arrows_lead_from_a_call_over_a_host_tool_to_the_call_that_it_makes() {
    let long = |mut call: RecordedCall, at: f64, took: u64| {
        (call.at, call.duration_us) = (at, Some(took));
        call
    };
    let called = |mut call: RecordedCall, caller| {
        call.caller = Some(caller);
        call
    };
    let outer = long(call(1, "main-1", 0), 1000.0, 9000);
    let inner = called(long(call(3, "gpu-1", 0), 1000.003, 2000), 2);
    // Its caller has left the recording.
    let lost = called(long(call(70, "gpu-1", 0), 1000.006, 100), 69);
    let tools = vec![
        called(long(call(2, "main-1", 0), 1000.002, 4000), 1),
        called(long(call(4, "main-1", 0), 1000.003, 0), 1),
    ];
    let pools = [recording(vec![outer]), recording(vec![inner, lost])];
    let trace = Trace::of("run", &pools, Some(&recording(tools)), usize::MAX);
    assert_eq!((trace.calls, trace.lanes), (5, 4));
    let trace = serde_json::to_value(trace).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    check(events);
    let ends = |phase: &str| {
        let ends = events.iter().filter(|event| event["ph"] == phase);
        let place = |end: &Json| ["id", "pid", "tid", "ts"].map(|key| end[key].to_string());
        ends.map(|end| place(end).join(" ")).collect::<Vec<_>>()
    };
    let begun = [r#""3" 3 1 3010"#, r#""2" 1 1 2000"#, r#""4" 1 1 3000"#];
    assert_eq!(ends("s"), begun);
    let ended = [r#""3" 2 1 3010"#, r#""2" 3 1 2000"#, r#""4" 3 2 3000"#];
    assert_eq!(ends("f"), ended);
}

#[test]
fn only_the_last_calls_are_in_a_trace_that_is_bounded() {
    let calls = (1..=50).map(|n| call(n, "main-1", 0)).collect();
    let trace = Trace::of("run", &[recording(calls)], None, 8);
    assert_eq!(trace.size(), "8 calls in 1 lane");
    let none = Trace::of("run", &[], None, 8);
    assert_eq!((none.calls, none.trace_events.len()), (0, 0));
}

#[test]
fn a_call_that_runs_reaches_to_the_end_of_the_recording() {
    let mut running = call(1, "main-1", 0);
    (running.outcome, running.duration_us) = ("running", None);
    let events = events(&[recording(vec![running, call(900, "main-2", 0)])]);
    check(&events);
    let slice = events
        .iter()
        .find(|it| it["args"]["outcome"] == "running")
        .unwrap();
    assert_eq!(
        slice["dur"].as_u64().unwrap() + slice["ts"].as_u64().unwrap(),
        899_500
    );
}

prop_compose! {
    fn any_call()(
        number in any::<u64>(), worker in "(|main-[0-9]{1,2}|\u{1b}\\[2J)", slot in 0..3_u16,
        caller in proptest::option::of(0..40_u64),
        at in prop_oneof![0.0..2e9, Just(f64::MAX)], sent in any::<u32>(), queued in any::<u32>(),
        took in proptest::option::of(any::<u64>()),
    ) -> RecordedCall {
        RecordedCall { caller, at, sent_us: sent, queued_us: queued, duration_us: took, ..call(number, &worker, slot) }
    }
}

proptest! {
    #[test]
    fn whatever_is_recorded_makes_a_trace(mut calls in proptest::collection::vec(any_call(), 0..40)) {
        // The recorder gives each call a unique number.
        for (n, call) in calls.iter_mut().enumerate() {
            call.call = n as u64;
        }
        let mut tools = calls.split_off(calls.len() / 2);
        tools.sort_by(|a, b| a.at.total_cmp(&b.at));
        let trace = Trace::of("run", &[recording(calls)], Some(&recording(tools)), usize::MAX);
        let trace = serde_json::to_value(trace).unwrap();
        check(trace["traceEvents"].as_array().unwrap());
    }
}
