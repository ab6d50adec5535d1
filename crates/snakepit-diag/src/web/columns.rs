//! Calls as columns of numbers: some forty bytes of JSON per call.

use std::collections::HashMap;

use serde::{Serialize, Serializer};

use crate::RecordedCall;

/// The calls of one pool. Names are indices into lists.
#[derive(Debug, Serialize)]
pub(super) struct Columns<'a> {
    /// Start of `at`, in seconds since 1970.
    from: f64,
    tools: Vec<&'a str>,
    workers: Vec<&'a str>,
    outcomes: Vec<&'a str>,
    codes: Vec<&'a str>,
    n: usize,
    /// Call numbers, each as the difference from the one before.
    call: Column,
    /// Start times in microseconds, each as the difference from the one before.
    at: Column,
    tool: Column,
    worker: Column,
    slot: Column,
    /// Microseconds in the queue.
    queued: Column,
    /// Microseconds from the start until the call was sent, minus those in the queue.
    unsent: Column,
    /// Microseconds from start to end; -1 if the call has not ended.
    took: Column,
    outcome: Column,
    code: Column,
    attempts: Column,
    items: Column,
    bytes_in: Column,
    bytes_out: Column,
}

/// A column. If all values are equal, it is serialised as that value.
#[derive(Debug, Default)]
struct Column(Vec<i64>);

impl Serialize for Column {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.first() {
            Some(first) if self.0.iter().all(|value| value == first) => first.serialize(serializer),
            Some(_) => self.0.serialize(serializer),
            None => 0.serialize(serializer),
        }
    }
}

/// Names by their index.
#[derive(Debug, Default)]
struct Names<'a> {
    places: HashMap<&'a str, i64>,
    list: Vec<&'a str>,
}

impl<'a> Names<'a> {
    fn place(&mut self, name: &'a str) -> i64 {
        *self.places.entry(name).or_insert_with(|| {
            self.list.push(name);
            self.list.len() as i64 - 1
        })
    }
}

/// Returns the calls as columns, in their order.
pub(super) fn of<'a>(calls: impl IntoIterator<Item = &'a RecordedCall>) -> Columns<'a> {
    let mut calls = calls.into_iter().peekable();
    let from = calls.peek().map_or(0.0, |call| call.at);
    let [mut tools, mut workers, mut outcomes, mut codes] = <[Names<'_>; 4]>::default();
    let mut columns: [Vec<i64>; 14] = Default::default();
    let (mut last_call, mut last_at) = (0, 0);
    for call in calls {
        let number = call.call.cast_signed();
        let at = ((call.at - from) * 1e6).round() as i64;
        let row = [
            number.wrapping_sub(last_call),
            at.saturating_sub(last_at),
            tools.place(&call.tool),
            workers.place(&call.worker),
            call.slot.into(),
            call.queued_us.into(),
            call.sent_us.saturating_sub(call.queued_us).into(),
            call.duration_us
                .map_or(-1, |took| i64::try_from(took).unwrap_or(i64::MAX)),
            outcomes.place(call.outcome),
            codes.place(call.code.as_deref().unwrap_or_default()),
            call.attempts.into(),
            call.items.into(),
            call.bytes_in.into(),
            call.bytes_out.into(),
        ];
        (last_call, last_at) = (number, at);
        for (column, value) in columns.iter_mut().zip(row) {
            column.push(value);
        }
    }
    let n = columns[0].len();
    let [
        call,
        at,
        tool,
        worker,
        slot,
        queued,
        unsent,
        took,
        outcome,
        code,
        attempts,
        items,
        bytes_in,
        bytes_out,
    ] = columns.map(Column);
    Columns {
        from,
        tools: tools.list,
        workers: workers.list,
        outcomes: outcomes.list,
        codes: codes.list,
        n,
        call,
        at,
        tool,
        worker,
        slot,
        queued,
        unsent,
        took,
        outcome,
        code,
        attempts,
        items,
        bytes_in,
        bytes_out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn call(number: u64, tool: &str, at: f64) -> RecordedCall {
        RecordedCall {
            call: number,
            caller: None,
            tool: tool.to_owned(),
            worker: "main-1".to_owned(),
            slot: 0,
            at,
            outcome: "ok",
            code: None,
            queued_us: 5,
            sent_us: 7,
            duration_us: Some(100),
            attempts: 1,
            items: 1,
            bytes_in: 10,
            bytes_out: 20,
        }
    }

    #[test]
    fn names_are_places_and_a_column_of_one_value_is_that_value() {
        let mut last = call(9, "<b>", 100.5);
        last.duration_us = None;
        let calls = [call(4, "echo", 100.0), call(7, "mean", 100.25), last];
        let json = serde_json::to_value(of(&calls)).unwrap();
        assert_eq!(json["tools"], serde_json::json!(["echo", "mean", "<b>"]));
        assert_eq!(json["call"], serde_json::json!([4, 3, 2]));
        assert_eq!(json["at"], serde_json::json!([0, 250_000, 250_000]));
        assert_eq!(json["took"], serde_json::json!([100, 100, -1]));
        assert_eq!((&json["queued"], &json["unsent"]), (&5.into(), &2.into()));
        assert_eq!((&json["n"], &json["from"]), (&3.into(), &100.0.into()));
        let none = serde_json::to_value(of(&[])).unwrap();
        assert_eq!((&none["n"], &none["at"]), (&0.into(), &0.into()));
    }
}
