//! Reports and findings as text for people. Control characters in texts of workers are escaped.

mod profile;
mod table;

use std::fmt::Write as _;

use snakepit_core::printable::Printable;

use crate::text::{amount, count, micros, percent, seconds};
use crate::{Band, CallReport, Finding, PoolReport, Report, Severity, WorkerReport};
pub use profile::render_profile;
pub use table::Table;

/// Style of the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Use colours.
    pub colour: bool,
    /// Add a line for each worker and each call.
    pub detailed: bool,
}

impl Style {
    pub(crate) fn paint(self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    const fn of_band(band: Band) -> &'static str {
        match band {
            Band::Low => "32",
            Band::Moderate => "36",
            Band::High => "33",
            Band::Critical => "31",
        }
    }

    const fn of_severity(severity: Severity) -> &'static str {
        match severity {
            Severity::Advice => "36",
            Severity::Warning => "33",
            Severity::Critical => "1;31",
        }
    }
}

/// Lays out a report, without a line break at the end.
pub fn render_report(report: &Report, style: Style) -> String {
    let host = &report.host;
    let run = host.run.as_deref().unwrap_or("none");
    let program = host.program.rsplit('/').next().unwrap_or_default();
    let mut text = format!(
        "host {}  pid {}  up {}  snakepit {}\nrun  {}",
        style.paint("1", &Printable(program).to_text()),
        host.pid,
        seconds(host.uptime_seconds),
        Printable(&host.version),
        Printable(run),
    );
    for pool in &report.pools {
        text.push_str("\n\n");
        text.push_str(&render_pool(pool, style));
    }
    text
}

fn render_pool(pool: &PoolReport, style: Style) -> String {
    let (capacity, counters) = (pool.capacity, pool.counters);
    let used = format!(
        "{}/{} ({})",
        capacity.used,
        capacity.total,
        percent(capacity.utilization_percent)
    );
    let mut text = format!(
        "pool {}  {}  {}  {}",
        style.paint("1", &Printable(&pool.pool).to_text()),
        Printable(&pool.state),
        Printable(&pool.profile),
        workers(pool),
    );
    let _ = write!(
        text,
        "\n  slots   {}, queue {}/{}",
        style.paint(Style::of_band(capacity.band()), &used),
        pool.queue.depth,
        pool.queue.limit
    );
    if let Some(memory) = pool.memory {
        let _ = write!(
            text,
            "\n  memory  {} in all; each {}, {} to {}",
            amount(memory.total_bytes),
            amount(memory.average_bytes),
            amount(memory.min_bytes),
            amount(memory.max_bytes)
        );
    }
    if pool.threads.threads_per_worker > 1 {
        let _ = write!(
            text,
            "\n  threads {} in each worker, {} in all; load {:.1}",
            pool.threads.threads_per_worker,
            pool.threads.total_threads,
            pool.threads.average_load_per_worker
        );
    }
    let failed =
        counters.errors + counters.call_timeouts + counters.queue_timeouts + counters.saturated;
    let _ = write!(
        text,
        "\n  calls   {}: {} ok, {failed} failed, {} cancelled, {} retried",
        counters.requests, counters.succeeded, counters.cancelled, counters.retries
    );
    for (label, times) in [("service", pool.service_time), ("wait   ", pool.queue_time)] {
        if times.count > 0 {
            let _ = write!(
                text,
                "\n  {label} median {}, 99 % {}, longest {}",
                micros(times.p50_us as f64),
                micros(times.p99_us as f64),
                micros(times.max_us as f64)
            );
        }
    }
    let lost = counters.restarts + counters.start_failures + counters.recycled;
    if lost > 0 {
        let _ = write!(
            text,
            "\n  life    {} restarted, {} recycled, {} failed to start",
            counters.restarts, counters.recycled, counters.start_failures
        );
    }
    if style.detailed {
        text.push_str(&render_workers(&pool.workers, style));
        text.push_str(&render_calls(&pool.calls, style));
    }
    text
}

fn workers(pool: &PoolReport) -> String {
    let mut text = count(pool.worker_count, "worker", "workers");
    if pool.worker_count != pool.target {
        let _ = write!(text, " of {}", pool.target);
    }
    for (number, word) in [(pool.starting, "starting"), (pool.spares, "spare")] {
        if number > 0 {
            let _ = write!(text, ", {number} {word}");
        }
    }
    text
}

fn render_workers(workers: &[WorkerReport], style: Style) -> String {
    if workers.is_empty() {
        return String::new();
    }
    let mut table = Table::new([
        "WORKER", "PID", "STATUS", "LOAD", "MEMORY", "CALLS", "AGE", "",
    ]);
    for worker in workers {
        table.row([
            worker.id.clone(),
            worker
                .pid
                .map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
            worker.status.word().to_owned(),
            format!("{}/{}", worker.load, worker.capacity),
            worker.memory_bytes.map_or_else(|| "-".to_owned(), amount),
            worker.calls.to_string(),
            seconds(worker.age_seconds),
            trouble(worker),
        ]);
    }
    format!("\n{}", table.render("  ", style.colour))
}

/// Describes the problems of a worker in a few words.
pub(crate) fn trouble(worker: &WorkerReport) -> String {
    let mut words = Vec::new();
    words.extend(
        worker
            .held_seconds
            .map(|held| format!("GIL held {}", seconds(held))),
    );
    words.extend(
        worker
            .flat_seconds
            .map(|flat| format!("no CPU time for {}", seconds(flat))),
    );
    words.extend(
        (worker.heartbeat_misses > 0).then(|| format!("{} missed", worker.heartbeat_misses)),
    );
    words.extend(
        worker
            .unhealthy
            .as_ref()
            .map(|error| format!("unhealthy: {error}")),
    );
    words.extend(
        worker
            .recycling
            .as_ref()
            .map(|reason| format!("replaced: {reason}")),
    );
    words.join(", ")
}

fn render_calls(calls: &[CallReport], style: Style) -> String {
    if calls.is_empty() {
        return String::new();
    }
    let mut table = Table::new(["CALL", "TOOL", "WORKER", "AGE", "WAITED", "LEFT"]);
    for call in calls {
        let items = match call.items {
            0 | 1 => String::new(),
            items => format!(" ({items} items)"),
        };
        table.row([
            call.call.to_string(),
            format!("{}{items}", call.tool),
            call.worker.clone(),
            seconds(call.age_seconds),
            seconds(call.queued_seconds),
            call.left_seconds.map_or_else(|| "-".to_owned(), seconds),
        ]);
    }
    format!("\n{}", table.render("  ", style.colour))
}

/// Formats seconds for people: `40.0 ms`, `4 s`, `6 min`, `3 h`.
pub fn render_seconds(value: f64) -> String {
    seconds(value)
}

/// Lays out findings, three lines each, without a line break at the end.
pub fn render_findings(findings: &[Finding], style: Style) -> String {
    let mut blocks = Vec::new();
    for finding in findings {
        let severity = style.paint(
            Style::of_severity(finding.severity),
            &format!("{:8}", finding.severity),
        );
        blocks.push(format!(
            "{severity} {}\n         why: {}\n         do:  {}",
            Printable(&finding.what),
            Printable(&finding.why),
            Printable(&finding.action)
        ));
    }
    blocks.join("\n")
}

#[cfg(test)]
mod tests;
