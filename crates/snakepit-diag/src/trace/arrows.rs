//! The arrows from a call to the calls that it makes.

use std::collections::HashMap;

use super::RecordedCall;
use super::event::TraceEvent;

/// The slices of a trace, by the numbers of their calls.
#[derive(Debug, Default)]
pub(super) struct Arrows {
    slices: HashMap<u64, Slice>,
    /// Calls with their callers, in the order of the trace.
    made: Vec<(u64, u64)>,
}

#[derive(Clone, Copy, Debug)]
struct Slice {
    /// Process and thread.
    place: (u64, u64),
    begun: u64,
    ended: u64,
}

impl Arrows {
    /// Adds the slice of a call.
    pub(super) fn slice(
        &mut self,
        call: &RecordedCall,
        place: (u64, u64),
        (begun, ended): (u64, u64),
    ) {
        let slice = Slice {
            place,
            begun,
            ended,
        };
        self.slices.insert(call.call, slice);
        self.made
            .extend(call.caller.map(|caller| (call.call, caller)));
    }

    /// Returns the ends of all arrows whose slices are both there.
    pub(super) fn events(&self) -> Vec<TraceEvent> {
        let arrow = |(call, caller): &(u64, u64)| {
            let (own, from) = (self.slices.get(call)?, self.slices.get(caller)?);
            // An arrow begins inside of the caller's slice, and does not lead back in time.
            let at = own.begun.min(from.ended.saturating_sub(1));
            let inside = at >= from.begun && own.ended > own.begun;
            let end = |slice: &Slice, at| (slice.place.0, slice.place.1, at);
            inside.then(|| TraceEvent::arrow(*call, end(from, at), end(own, own.begun)))
        };
        self.made.iter().filter_map(arrow).flatten().collect()
    }
}
