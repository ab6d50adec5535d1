//! `snakepit diagnose`: starts workers to find out how many this machine can have.

mod bench;
mod options;
mod steps;
mod trials;

use std::io::{self, Write as _};

use serde_json::json;
use snakepit::diag::render_scaling;

use crate::failure::Failure;
use crate::hosts::style;
use crate::output;
use crate::session::Signals;
use crate::settings;
use bench::Bench;
pub(crate) use options::DiagnoseOptions;

pub(crate) async fn run(options: &DiagnoseOptions) -> Result<(), Failure> {
    settings::refuse("diagnose")?;
    let mut signals = Signals::new()?;
    options.check()?;
    let mut bench = Bench::new(options)?;
    let done = tokio::select! {
        done = bench.run() => done,
        number = signals.next() => Err(Failure::Signal(number)),
    };
    tokio::select! {
        () = bench.end() => {}
        // A second signal skips the waiting: the workers are killed with their host.
        _ = signals.next() => {}
    }
    done?;
    let scaling = bench.scaling();
    if options.json {
        let mut document = json!(scaling);
        document["breaks_first"] = json!(scaling.breaks_first());
        return output::document(&document);
    }
    output::painted(&render_scaling(scaling, style(false)))
}

/// Reports progress on stderr.
fn say(text: &str) {
    // If stderr cannot be written, there is nowhere to report it.
    let _ = writeln!(io::stderr().lock(), "{text}");
}
