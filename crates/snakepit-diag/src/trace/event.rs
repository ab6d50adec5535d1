//! One event of a trace, of the phases of the Trace Event Format used here.

use serde::Serialize;
use serde_json::{Value as Json, json};

use super::{RecordedCall, RecordedDeath};

/// An event. Fields that its phase does not have are omitted.
#[derive(Debug, Default, Serialize)]
pub(super) struct TraceEvent {
    /// Phase: `X` for a slice, `b` and `e` for the ends of an asynchronous slice, `s` and `f` for
    /// those of an arrow between slices, `i` for an instant, `M` for metadata.
    ph: &'static str,
    name: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    cat: &'static str,
    pid: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    tid: Option<u64>,
    /// Timestamp in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    ts: Option<u64>,
    /// Duration in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<u64>,
    /// Common id of the two ends of an asynchronous slice or of an arrow.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// Binding of the end of an arrow: `e` for the slice around it.
    #[serde(skip_serializing_if = "Option::is_none")]
    bp: Option<&'static str>,
    /// Scope of an instant: `t` for its thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<&'static str>,
    /// Colour of the slice, for viewers that know it by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    cname: Option<&'static str>,
    #[serde(skip_serializing_if = "Json::is_null")]
    args: Json,
}

impl TraceEvent {
    /// Names the process of a pool, or of the host tools.
    pub(super) fn process(pid: u64, name: &str) -> Self {
        Self {
            ph: "M",
            name: "process_name".to_owned(),
            pid,
            args: json!({ "name": name }),
            ..Self::default()
        }
    }

    /// Names the thread of a lane and sets its sort index.
    pub(super) fn thread(pid: u64, tid: u64, name: &str) -> [Self; 2] {
        let meta = |kind: &str, args| Self {
            ph: "M",
            name: kind.to_owned(),
            pid,
            tid: Some(tid),
            args,
            ..Self::default()
        };
        [
            meta("thread_name", json!({ "name": name })),
            meta("thread_sort_index", json!({ "sort_index": tid })),
        ]
    }

    /// Returns the slice of a call, on its worker or of a host tool (`cat`).
    pub(super) fn call(
        (cat, pid, tid): (&'static str, u64, u64),
        call: &RecordedCall,
        (ts, dur): (u64, u64),
    ) -> Self {
        let cname = match call.outcome {
            "ok" => None,
            "running" => Some("yellow"),
            _ => Some("terrible"),
        };
        Self {
            ph: "X",
            name: call.tool.clone(),
            cat,
            pid,
            tid: Some(tid),
            ts: Some(ts),
            dur: Some(dur),
            cname,
            args: facts(call),
            ..Self::default()
        }
    }

    /// Returns the two ends of a call's time in the queue.
    pub(super) fn wait(pid: u64, call: &RecordedCall, at: u64, waited: u64) -> [Self; 2] {
        let end = |ph, ts, args| Self {
            ph,
            name: "queued".to_owned(),
            cat: "queue",
            pid,
            ts: Some(ts),
            // Viewers require a thread; 0 is the pool's own.
            tid: Some(0),
            id: Some(format!("{pid}.{}", call.call)),
            args,
            ..Self::default()
        };
        [
            end("b", at, facts(call)),
            end("e", at.saturating_add(waited), Json::Null),
        ]
    }

    /// Returns the two ends of the arrow to a call, from within the slice of its caller. Both are
    /// process, thread and time.
    pub(super) fn arrow(call: u64, from: (u64, u64, u64), to: (u64, u64, u64)) -> [Self; 2] {
        let end = |ph, bp, (pid, tid, ts)| Self {
            ph,
            name: "calls".to_owned(),
            cat: "caller",
            pid,
            tid: Some(tid),
            ts: Some(ts),
            id: Some(call.to_string()),
            bp,
            ..Self::default()
        };
        [end("s", None, from), end("f", Some("e"), to)]
    }

    /// Returns the instant of a worker's death.
    pub(super) fn death(pid: u64, tid: u64, death: &RecordedDeath, ts: u64) -> Self {
        let output = &death.output;
        let death = &death.death;
        Self {
            ph: "i",
            name: format!("died: {}", death.cause),
            cat: "death",
            pid,
            tid: Some(tid),
            ts: Some(ts),
            s: Some("t"),
            args: json!({ "exit": death.exit, "calls": death.calls, "output": output }),
            ..Self::default()
        }
    }
}

fn facts(call: &RecordedCall) -> Json {
    json!({
        "call": call.call,
        "caller": call.caller,
        "tool": call.tool,
        "outcome": call.outcome,
        "code": call.code,
        "queued_us": call.queued_us,
        "attempts": call.attempts,
        "items": call.items,
        "bytes_in": call.bytes_in,
        "bytes_out": call.bytes_out,
    })
}
