//! `snakepit trace`: the last calls of a host as a file for trace viewers.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Write as _};

use serde_json::json;
use snakepit::ErrorCode;
use snakepit::diag::{Hosts, RecordedCall, Trace};

use crate::failure::Failure;
use crate::host_options::TraceOptions;
use crate::hosts::{data_dir, warn_of_left_out};
use crate::output;

pub(crate) fn run(options: &TraceOptions) -> Result<(), Failure> {
    let hosts = Hosts::find(&data_dir(options.host.data_dir.as_deref()))?;
    let recorded = hosts.recordings(options.host.run.as_deref())?;
    warn_of_left_out(&recorded);
    let (run, mut recordings) = (recorded.run, recorded.pools);
    let mut host_tools = recorded.host_tools;
    if let Some(pool) = &options.pool {
        recordings.retain(|recording| recording.pool == *pool);
        if recordings.is_empty() {
            return Err(Failure::usage(
                ErrorCode::UnknownPool,
                format!("run {run} has recorded no pool `{pool}`"),
                "list the pools with `snakepit report`",
            ));
        }
        if let Some(tools) = &mut host_tools {
            let shown = recordings.iter().flat_map(|recording| &recording.calls);
            let shown: HashSet<u64> = shown.map(|call| call.call).collect();
            let of_pool = |call: &RecordedCall| call.caller.is_some_and(|it| shown.contains(&it));
            tools.calls.retain(of_pool);
        }
    }
    let trace = Trace::of(&run, &recordings, host_tools.as_ref(), options.calls);
    let Some(file) = &options.output else {
        // Names of tools may contain control characters.
        return output::line(&output::json_text(&json!(trace)));
    };
    let written = File::create(file).and_then(|file| {
        let mut file = BufWriter::new(file);
        serde_json::to_writer(&mut file, &trace)?;
        file.write_all(b"\n")?;
        file.flush()
    });
    written.map_err(|error| Failure::unwritten(file, &error, "--output"))?;
    if options.json {
        let file = file.display().to_string();
        let (calls, lanes) = (trace.calls, trace.lanes);
        return output::document(
            &json!({ "file": file, "run": run, "calls": calls, "lanes": lanes }),
        );
    }
    output::line(&format!(
        "wrote {}: {}; open it at https://ui.perfetto.dev",
        file.display(),
        trace.size()
    ))
}
