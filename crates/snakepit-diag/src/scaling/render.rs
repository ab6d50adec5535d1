//! The figures as text for people.

use std::fmt::Write as _;

use snakepit_core::printable::Printable;

use super::{Limit, Rate, Scaling, Step, Stop};
use crate::text::{amount, micros, seconds};
use crate::{Style, Table};

/// Lays out the figures and the limit that is reached first, without a line break at the end.
pub fn render_scaling(scaling: &Scaling, style: Style) -> String {
    let mut text = format!("profiles\n{}", profiles(scaling, style));
    if let Some(registry) = &scaling.registry {
        let _ = write!(
            text,
            "\n\nregistry     {} reservations at the same time in {}, the slowest in {}; {} failed",
            registry.reservations,
            seconds(registry.seconds),
            seconds(registry.slowest_seconds),
            registry.failed
        );
        reason(&mut text, registry.error.as_deref());
    }
    for (name, things, rate) in [
        ("processes", "processes", &scaling.spawn),
        ("connections", "connections", &scaling.connections),
    ] {
        if let Some(rate) = rate {
            let _ = write!(text, "\n{name:<11}  {}", of_rate(rate, things));
            reason(&mut text, rate.error.as_deref());
        }
    }
    if !scaling.limits.is_empty() {
        let _ = write!(text, "\n\nlimits\n{}", limits(scaling, style));
    }
    if !scaling.steps.is_empty() {
        let _ = write!(text, "\n\nstart in steps\n{}", steps(scaling, style));
    }
    text.push_str("\n\n");
    match scaling.breaks_first() {
        Some(first) => {
            let how = match first.seen {
                true => "broke first",
                false => "breaks first",
            };
            let _ = write!(
                text,
                "{} {how}: {}\n  do:  {}",
                style.paint("1", &first.what),
                Printable(&first.why),
                Printable(&first.action)
            );
        }
        None => text.push_str("nothing breaks: no limit is near"),
    }
    text
}

fn reason(text: &mut String, error: Option<&str>) {
    if let Some(error) = error {
        let _ = write!(text, ": {}", Printable(error));
    }
}

fn of_rate(rate: &Rate, things: &str) -> String {
    format!(
        "{} {things} in {}, {:.0} a second",
        rate.made,
        seconds(rate.seconds),
        rate.per_second()
    )
}

fn profiles(scaling: &Scaling, style: Style) -> String {
    let mut table = Table::new([
        "PROFILE", "SLOTS", "START", "MEMORY", "PER SLOT", "CALL", "GIL",
    ]);
    for trial in &scaling.profiles {
        let memory = |parts: usize| {
            let bytes = trial.memory_bytes.map(|bytes| bytes / parts.max(1) as u64);
            bytes.map_or_else(|| "-".to_owned(), amount)
        };
        table.row([
            trial.profile.clone(),
            trial.slots.to_string(),
            seconds(trial.start_seconds),
            memory(1),
            memory(trial.slots),
            micros(trial.call_us),
            match trial.gil_enabled {
                Some(true) => "yes".to_owned(),
                Some(false) => "no".to_owned(),
                None => "-".to_owned(),
            },
        ]);
    }
    table.render("  ", style.colour)
}

fn limits(scaling: &Scaling, style: Style) -> String {
    let mut table = Table::new(["LIMIT", "THERE ARE", "IN USE", "PER WORKER", "ENOUGH FOR"]);
    for limit in &scaling.limits {
        let figure = |value: u64| match limit.name {
            "memory" => amount(value),
            _ => value.to_string(),
        };
        table.row([
            limit.name.replace('_', " "),
            figure(limit.limit),
            figure(limit.used),
            per_worker(limit),
            match limit.workers {
                Some(workers) => workers.to_string(),
                None => "any number".to_owned(),
            },
        ]);
    }
    table.render("  ", style.colour)
}

fn per_worker(limit: &Limit) -> String {
    match limit.name {
        "memory" => amount(limit.per_worker as u64),
        _ if limit.per_worker == 0.0 => "none".to_owned(),
        _ => format!("{:.1}", limit.per_worker),
    }
}

fn steps(scaling: &Scaling, style: Style) -> String {
    let mut table = Table::new([
        "WORKERS", "READY", "TOOK", "A SECOND", "MEMORY", "FILES", "OUTCOME",
    ]);
    for step in &scaling.steps {
        let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        let made = step.started > 0;
        table.row([
            step.workers.to_string(),
            step.ready.to_string(),
            or_dash(made.then(|| seconds(step.seconds))),
            or_dash(made.then(|| format!("{:.1}", step.per_second()))),
            or_dash(step.memory_bytes.map(amount)),
            or_dash(step.open_files.map(|files| files.to_string())),
            outcome(step),
        ]);
    }
    table.render("  ", style.colour)
}

fn outcome(step: &Step) -> String {
    match &step.stop {
        Some(Stop::WouldExceed { limit }) => {
            format!("not started: {} would run out", limit.replace('_', " "))
        }
        Some(Stop::Exhausted { limit }) => format!("stopped: {} runs out", limit.replace('_', " ")),
        Some(Stop::Failed { .. }) => "a worker did not start".to_owned(),
        Some(Stop::TooSlow) => "too slow".to_owned(),
        None if step.reached() => "all answer".to_owned(),
        None => format!("{} answer", step.answered),
    }
}
