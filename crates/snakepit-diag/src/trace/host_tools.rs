//! The host tools in a trace. Their calls overlap, so each takes the first lane that is free.

use super::event::TraceEvent;
use super::{RecordedCall, Recording, Trace, micros};

impl Trace {
    /// Adds the calls of host tools, which a recording has in the order of their beginnings.
    pub(super) fn add_host_tools(
        &mut self,
        pid: u64,
        recording: &Recording,
        calls: &[RecordedCall],
        zero: f64,
    ) {
        self.trace_events
            .push(TraceEvent::process(pid, &recording.pool));
        self.calls += calls.len();
        let end = micros(recording.ended() - zero);
        // The times at which the lanes are free.
        let mut free: Vec<u64> = Vec::new();
        for call in calls {
            let begun = micros(call.at - zero);
            let ended = call
                .duration_us
                .map_or(end, |took| begun.saturating_add(took));
            // A slice without a length would be no end for an arrow.
            let ended = ended.max(begun.saturating_add(1));
            let index = free.iter().position(|free| *free <= begun);
            let index = index.unwrap_or_else(|| {
                free.push(0);
                free.len() - 1
            });
            free[index] = ended;
            let tid = index as u64 + 1;
            let slice = TraceEvent::call(("host_tool", pid, tid), call, (begun, ended - begun));
            self.trace_events.push(slice);
            self.arrows.slice(call, (pid, tid), (begun, ended));
        }
        self.lanes += free.len();
        for tid in 1..=free.len() as u64 {
            let name = format!("host tools {tid}");
            self.trace_events
                .extend(TraceEvent::thread(pid, tid, &name));
        }
    }
}
