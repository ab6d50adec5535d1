//! Descriptions of metrics and their values, the same for all exporters.

use std::borrow::Cow;
use std::sync::Arc;

use super::histogram::Histogram;

/// The kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A count that only grows.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// A distribution of values.
    Histogram,
}

/// The description of a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Desc {
    /// Name as in OpenTelemetry, for example `snakepit.calls`.
    pub name: Cow<'static, str>,
    /// Meaning, a sentence without a full stop.
    pub help: Cow<'static, str>,
    /// Unit in [UCUM](https://ucum.org), for example `s`, `By` or `{call}`. Empty if there is none.
    pub unit: Cow<'static, str>,
    /// The kind.
    pub kind: Kind,
    /// `true` for an instrument of worker code.
    pub custom: bool,
}

/// Names and values of the labels of a point.
pub type Labels = Vec<(Cow<'static, str>, Arc<str>)>;

/// One value of a metric.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Point {
    /// Labels.
    pub labels: Labels,
    /// Value.
    pub value: Value,
}

/// Value of a point.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Value of a counter or a gauge; whole numbers are exact up to 2^53.
    Number(f64),
    /// Value of a histogram.
    Histogram(Box<Histogram>),
}

/// A metric with all its points.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Family {
    /// Description.
    pub desc: Desc,
    /// Points, one for each set of labels.
    pub points: Vec<Point>,
}

/// The families of a snapshot while it is being collected, in the order of their first points.
#[derive(Debug, Default)]
pub(super) struct Families(Vec<(usize, Family)>);

impl Families {
    /// Adds a number to a family of the table below.
    pub(super) fn number(&mut self, id: Id, labels: Labels, value: f64) {
        self.point(id, labels, Value::Number(value));
    }

    /// Adds a point to a family of the table below.
    pub(super) fn point(&mut self, id: Id, labels: Labels, value: Value) {
        let index = id as usize;
        let at = self.0.iter().position(|(known, _)| *known == index);
        let at = at.unwrap_or_else(|| {
            let desc = DESCS[index].clone();
            let points = Vec::new();
            self.0.push((index, Family { desc, points }));
            self.0.len() - 1
        });
        self.0[at].1.points.push(Point { labels, value });
    }

    /// Adds a distribution to the point with these labels, or as a new point.
    pub(super) fn histogram(&mut self, id: Id, labels: Labels, value: &Histogram) {
        let index = id as usize;
        let family = self.0.iter_mut().find(|(known, _)| *known == index);
        let points = family
            .into_iter()
            .flat_map(|(_, family)| &mut family.points);
        for point in points {
            if point.labels == labels
                && let Value::Histogram(known) = &mut point.value
            {
                known.merge(value);
                return;
            }
        }
        self.point(id, labels, Value::Histogram(Box::new(value.clone())));
    }

    /// Returns the families in the order of the table.
    pub(super) fn finish(mut self) -> Vec<Family> {
        self.0.sort_by_key(|(index, _)| *index);
        self.0.into_iter().map(|(_, family)| family).collect()
    }
}

/// Defines the host's own metrics.
macro_rules! descs {
    ($($id:ident $kind:ident $name:literal $unit:literal $help:literal)*) => {
        /// One of the host's own metrics.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) enum Id {
            $($id,)*
        }

        /// Their descriptions, in the order of [`Id`].
        const DESCS: &[Desc] = &[$(
            Desc {
                name: Cow::Borrowed($name),
                help: Cow::Borrowed($help),
                unit: Cow::Borrowed($unit),
                kind: Kind::$kind,
                custom: false,
            },
        )*];
    };
}

descs! {
    Calls Counter "snakepit.calls" "{call}" "Calls that are over for their callers, by outcome and error code"
    Duration Histogram "rpc.client.call.duration" "s" "Time from the start of a call until it is over for its caller"
    QueueDuration Histogram "snakepit.queue.duration" "s" "Time that calls waited for a slot"
    ServiceDuration Histogram "snakepit.service.duration" "s" "Time that calls spent on a worker"
    Sent Counter "snakepit.call.sent" "By" "Arguments of calls that went to workers, in all attempts"
    Received Counter "snakepit.call.received" "By" "Results of calls that their callers got"
    Attempts Counter "snakepit.attempts" "{attempt}" "Attempts that are over, by outcome; a retried call has several"
    CallsQueued Counter "snakepit.calls.queued" "{call}" "Calls that had to wait for a slot"
    CallsRetried Counter "snakepit.calls.retried" "{call}" "Calls that were retried"
    CallsQuarantined Counter "snakepit.calls.quarantined" "{call}" "Calls rejected by the quarantine"
    CallsCircuitOpen Counter "snakepit.calls.circuit_open" "{call}" "Calls rejected by a circuit breaker"
    Cancellations Counter "snakepit.cancellations" "{call}" "Tools of abandoned calls that have ended, by the step that stopped them"
    QueueLength Gauge "snakepit.queue.length" "{call}" "Calls that wait for a slot"
    QueueSize Gauge "snakepit.queue.size" "By" "Arguments of calls that wait for a slot"
    Slots Gauge "snakepit.slots" "{slot}" "Slots of ready workers, by state"
    Workers Gauge "snakepit.workers" "{worker}" "Workers, by state"
    WorkersTarget Gauge "snakepit.workers.target" "{worker}" "Workers that the pool keeps running"
    PoolReady Gauge "snakepit.pool.ready" "1" "1 if all workers of the pool are ready, else 0"
    Starts Counter "snakepit.worker.starts" "{worker}" "Workers that became ready"
    StartFailures Counter "snakepit.worker.start_failures" "{worker}" "Workers that did not start"
    Restarts Counter "snakepit.worker.restarts" "{worker}" "Workers started in place of ones that died"
    Recycles Counter "snakepit.worker.recycles" "{worker}" "Workers replaced although they lived, by reason"
    RecycleFailures Counter "snakepit.worker.recycle_failures" "{worker}" "Replacements of living workers that did not start"
    Deaths Counter "snakepit.worker.deaths" "{worker}" "Workers that died unexpectedly, by cause"
    HeartbeatMisses Counter "snakepit.heartbeat.misses" "{heartbeat}" "Heartbeats that were missed"
    HeartbeatKills Counter "snakepit.heartbeat.kills" "{worker}" "Workers killed because they gave no sign of life"
    HealthFailures Counter "snakepit.health.failures" "{check}" "Health checks that failed"
    CircuitOpened Counter "snakepit.circuit.opened" "{circuit}" "Circuit breakers that opened"
    Circuits Gauge "snakepit.circuits" "{circuit}" "Circuit breakers that are not closed, by state"
    WorkerCalls Counter "snakepit.worker.calls" "{call}" "Calls that a living worker has completed"
    WorkerAge Gauge "snakepit.worker.age" "s" "Time since the worker was ready"
    WorkerLoad Gauge "snakepit.worker.load" "{slot}" "Slots of the worker that are taken"
    WorkerHeld Gauge "snakepit.worker.interpreter_held" "s" "Time for which the worker's interpreter has not answered"
    WorkerPss Gauge "snakepit.worker.memory.pss" "By" "Proportional memory of the worker and its processes, where it is measured"
    ProcessCpu Counter "process.cpu.time" "s" "CPU time of the worker's process"
    ProcessMemory Gauge "process.memory.usage" "By" "Resident memory of the worker's process"
    ProcessThreads Gauge "process.thread.count" "{thread}" "Threads of the worker's process"
    ProcessDescriptors Gauge "process.unix.file_descriptor.count" "{file_descriptor}" "Open descriptors of the worker's process"
    Sessions Gauge "snakepit.sessions" "{session}" "Sessions"
    SessionBytes Gauge "snakepit.sessions.size" "By" "What sessions keep"
    Dropped Counter "snakepit.telemetry.dropped" "{record}" "Telemetry records that were dropped, by signal and reason"
    Exported Counter "snakepit.telemetry.exported" "{record}" "Telemetry records that a collector accepted, by signal"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_dotted() {
        let names: std::collections::BTreeSet<_> = DESCS.iter().map(|desc| &desc.name).collect();
        assert_eq!(names.len(), DESCS.len());
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte == b'.' || byte == b'_';
        assert!(names.iter().all(|name| name.bytes().all(allowed)));
    }
}
