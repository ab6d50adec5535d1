//! Conversion of recordings into the Trace Event Format, which <https://ui.perfetto.dev> and
//! `chrome://tracing` display.
//!
//! Each pool is a process of the trace, and each slot of a worker is a thread in it, with one slice
//! per call. Waits in the queue overlap, so they are asynchronous slices. Deaths are instants. The
//! host tools are one more process, with as many threads as there were calls at the same time.
//! Arrows lead from a call to the calls that it makes.

mod arrows;
mod event;
mod host_tools;
mod lanes;

#[cfg(test)]
mod tests;

use serde::Serialize;
use serde_json::json;

use crate::text::count;
use crate::{RecordedCall, RecordedDeath, Recording};
use arrows::Arrows;
use event::TraceEvent;
use lanes::Lanes;

/// A trace, as a document of the Trace Event Format.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    trace_events: Vec<TraceEvent>,
    #[serde(skip)]
    arrows: Arrows,
    display_time_unit: &'static str,
    other_data: serde_json::Value,
    /// Number of calls.
    #[serde(skip)]
    pub calls: usize,
    /// Number of lanes: one per slot of a worker.
    #[serde(skip)]
    pub lanes: usize,
}

impl Trace {
    /// Converts the last calls of some pools and of the host tools, at most `most` of each. `run`
    /// names their run.
    pub fn of(
        run: &str,
        recordings: &[Recording],
        host_tools: Option<&Recording>,
        most: usize,
    ) -> Self {
        let last = |recording: &Recording| recording.calls.len().saturating_sub(most);
        let begins = recordings.iter().chain(host_tools).flat_map(|recording| {
            let calls = recording.calls[last(recording)..]
                .iter()
                .map(|call| call.at);
            calls.chain(recording.deaths.iter().map(|death| death.death.at))
        });
        let zero = begins.fold(f64::INFINITY, f64::min);
        let zero = if zero.is_finite() { zero } else { 0.0 };
        let mut trace = Self {
            trace_events: Vec::new(),
            arrows: Arrows::default(),
            display_time_unit: "ms",
            other_data: json!({ "run": run, "began": zero }),
            calls: 0,
            lanes: 0,
        };
        for (index, recording) in recordings.iter().enumerate() {
            let calls = &recording.calls[last(recording)..];
            // Process 0 is the idle task of the kernel in some viewers.
            trace.add_pool(index as u64 + 1, recording, calls, zero);
        }
        if let Some(recording) = host_tools {
            let calls = &recording.calls[last(recording)..];
            trace.add_host_tools(recordings.len() as u64 + 1, recording, calls, zero);
        }
        // Viewers want an arrow after the slices that it connects.
        trace.trace_events.extend(trace.arrows.events());
        trace
    }

    /// Describes the size for people: `3 calls in 1 lane`.
    pub fn size(&self) -> String {
        let calls = count(self.calls, "call", "calls");
        format!("{calls} in {}", count(self.lanes, "lane", "lanes"))
    }

    fn add_pool(&mut self, pid: u64, recording: &Recording, calls: &[RecordedCall], zero: f64) {
        let mut lanes = Lanes::of(calls, &recording.deaths);
        self.lanes += lanes.len();
        self.calls += calls.len();
        self.trace_events.push(TraceEvent::process(
            pid,
            &format!("pool {}", recording.pool),
        ));
        for (tid, name) in lanes.names() {
            self.trace_events
                .extend(TraceEvent::thread(pid, tid, &name));
        }
        let end = micros(recording.ended() - zero);
        // A call that was sent to a busy slot ahead of time starts when the call before it has
        // ended.
        let mut sent: Vec<_> = calls
            .iter()
            .filter(|call| !call.worker.is_empty())
            .collect();
        sent.sort_by_key(|call| {
            (
                micros(call.at - zero).saturating_add(call.sent_us.into()),
                call.call,
            )
        });
        for call in sent {
            let at = micros(call.at - zero);
            let ended = call.duration_us.map_or(end, |took| at.saturating_add(took));
            let lane = lanes.of_call(call);
            let begun = at.saturating_add(call.sent_us.into()).max(lane.free);
            let ended = ended.max(begun);
            lane.free = ended;
            let place = ("call", pid, lane.tid);
            let slice = TraceEvent::call(place, call, (begun, ended - begun));
            self.trace_events.push(slice);
            self.arrows.slice(call, (pid, lane.tid), (begun, ended));
        }
        for call in calls {
            let at = micros(call.at - zero);
            let waited = match (call.worker.is_empty(), call.duration_us) {
                (true, Some(took)) => took,
                (true, None) => end.saturating_sub(at),
                (false, _) => call.queued_us.into(),
            };
            if waited > 0 {
                self.trace_events
                    .extend(TraceEvent::wait(pid, call, at, waited));
            }
        }
        for death in &recording.deaths {
            let tid = lanes.of_death(death);
            let at = micros(death.death.at - zero);
            self.trace_events
                .push(TraceEvent::death(pid, tid, death, at));
        }
    }
}

/// Converts seconds to microseconds. Negative values and NaN become 0.
fn micros(seconds: f64) -> u64 {
    // The cast saturates.
    (seconds * 1e6).round() as u64
}
