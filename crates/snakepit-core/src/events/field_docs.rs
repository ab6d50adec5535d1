//! The meaning of each field, the same in all events.

/// Returns the doc of a field. A field without one does not compile.
macro_rules! field_doc {
    (action) => {
        "Action, as one word."
    };
    (adapter) => {
        "Name of the adapter."
    };
    (attempt) => {
        "Number of the attempt: 0 for the first one, 1 for the first retry."
    };
    (attempts) => {
        "Number of times that the call was sent to a worker."
    };
    (available_workers) => {
        "Number of ready workers with a free slot."
    };
    (bound) => {
        "Setting whose limit was reached."
    };
    (busy) => {
        "`true` if the worker had a call."
    };
    (busy_workers) => {
        "Number of workers without a free slot."
    };
    (bytes) => {
        "Size in bytes."
    };
    (call) => {
        "Number of the call, unique in this run of the host."
    };
    (capacity) => {
        "Number of slots."
    };
    (cause) => {
        "Cause, as one word."
    };
    (change) => {
        "Kind of change."
    };
    (check) => {
        "Name of the check, a tool of the worker."
    };
    (chunks) => {
        "Number of chunks that the caller took."
    };
    (code) => {
        "Error code, for example `SP4003`. `None` if there was no error."
    };
    (count) => {
        "Number of processes."
    };
    (depth) => {
        "Depth of nested calls."
    };
    (duration_ms) => {
        "Duration in milliseconds."
    };
    (duration_us) => {
        "Duration in microseconds."
    };
    (error) => {
        "Error message."
    };
    (exit) => {
        "How the process ended."
    };
    (failed) => {
        "Number of items that failed."
    };
    (failures) => {
        "Number of failures in a row."
    };
    (first_chunk_us) => {
        "Time from the dispatch to the first chunk, in microseconds. `None` if there was none."
    };
    (flat_seconds) => {
        "Time without use of CPU, in seconds."
    };
    (from) => {
        "Number before."
    };
    (generation) => {
        "Generation of the session."
    };
    (grace_seconds) => {
        "Time that the worker had to end, in seconds."
    };
    (held_seconds) => {
        "Time for which the interpreter has been held, in seconds."
    };
    (interval_ms) => {
        "Interval in milliseconds."
    };
    (items) => {
        "Number of items; 1 except for batches."
    };
    (late_seconds) => {
        "Lateness in seconds."
    };
    (latency_us) => {
        "Latency in microseconds."
    };
    (lifetime) => {
        "Lifetime in seconds."
    };
    (lifetime_seconds) => {
        "Lifetime in seconds."
    };
    (limit) => {
        "Limit."
    };
    (load) => {
        "Number of slots that are taken."
    };
    (max_queue_size) => {
        "Limit of the queue, in calls."
    };
    (memory_bytes) => {
        "Memory of the worker in bytes. `None` if it was not measured."
    };
    (missed) => {
        "Number of changes that were missed."
    };
    (misses) => {
        "Number of missed heartbeats in a row."
    };
    (module) => {
        "Python module."
    };
    (origin) => {
        "Origin of the change."
    };
    (outcome) => {
        "Outcome: `ok`, `error`, `queue_timeout`, `call_timeout`, `cancelled` or `rejected`."
    };
    (peer_pid) => {
        "Process id of the client. `None` if the system does not report it."
    };
    (phase) => {
        "`start` if it is about runs of dead hosts, `end` if it is about this run."
    };
    (pid) => {
        "Process id. `None` if the worker is not a local process."
    };
    (planned) => {
        "`true` if the host ended the worker."
    };
    (pool) => {
        "Name of the pool."
    };
    (profile) => {
        "Name of the worker's profile, for example `process` or `thread`."
    };
    (program) => {
        "Name of the program."
    };
    (python_type) => {
        "Python type of the value."
    };
    (queue_size) => {
        "Number of calls in the queue."
    };
    (queued) => {
        "`true` if the call waited in the queue."
    };
    (queued_us) => {
        "Time in the queue, in microseconds."
    };
    (ratio) => {
        "Share of the limit, from 0 to 1."
    };
    (reason) => {
        "Reason, as one word or phrase."
    };
    (received_bytes) => {
        "Bytes of the results that the caller got."
    };
    (records) => {
        "Number of telemetry records."
    };
    (rejected) => {
        "`true` if a call was rejected."
    };
    (remaining) => {
        "Number that remain."
    };
    (removed) => {
        "Number that were removed."
    };
    (replacement) => {
        "Replacement worker. `None` if it is started afterwards."
    };
    (request_count) => {
        "Number of calls that the worker has answered."
    };
    (retry_after_ms) => {
        "Time after which to try again, in milliseconds."
    };
    (run) => {
        "Id of the run; empty if the host has none."
    };
    (sent_bytes) => {
        "Bytes of the arguments that went to workers, in all attempts."
    };
    (session) => {
        "Id of the session. `None` if there is none."
    };
    (sessions) => {
        "Number of sessions."
    };
    (slot) => {
        "Number of the slot within its worker, from 0."
    };
    (stacks) => {
        "Stacks of the worker's threads. `None` if they could not be captured."
    };
    (startup_ms) => {
        "Time from the spawn until the worker was ready, in milliseconds."
    };
    (status) => {
        "Exit status."
    };
    (step) => {
        "Step of the cancellation that stopped the tool."
    };
    (timeout_ms) => {
        "Time-out in milliseconds."
    };
    (to) => {
        "Number after."
    };
    (tool) => {
        "Name of the tool. `None` if no single tool is concerned."
    };
    (total_calls) => {
        "Number of calls that the worker has answered."
    };
    (trace) => {
        "Trace context. `None` if the call is not traced."
    };
    (uptime_seconds) => {
        "Time since the worker was ready, in seconds."
    };
    (variable) => {
        "Name of the variable."
    };
    (version) => {
        "Version of the variable."
    };
    (wait_ms) => {
        "Time until the next attempt, in milliseconds."
    };
    (worker) => {
        "Id of the worker. `None` if there is none."
    };
    (workers) => {
        "Number of workers."
    };
}
pub(super) use field_doc;
