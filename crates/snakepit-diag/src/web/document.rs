//! The data that a page shows.

use serde::Serialize;
use snakepit_core::worker::profiling::ProfileReport;

use super::columns::{self, Columns};
use crate::{Finding, RecordedDeath, Recording, Report, WorkerStacks};

/// Maximum number of workers whose stacks are in a report.
pub const STACKS: usize = 64;

/// Everything that a report page shows of a host.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Document {
    /// The run.
    pub run: String,
    /// Time of the document, in seconds since 1970.
    pub made: f64,
    /// The state of the host. `None` if it was no longer running.
    pub report: Option<Report>,
    /// The problems found.
    pub findings: Vec<Finding>,
    /// The flight recordings of its pools.
    pub recordings: Vec<Recording>,
    /// The stacks of busy workers.
    pub stacks: Vec<WorkerStacks>,
    /// Profiles of pools, which the page shows as flame graphs.
    pub profiles: Vec<PoolProfile>,
}

/// The profile of one pool.
#[derive(Clone, Debug, Serialize)]
pub struct PoolProfile {
    /// Name of the pool.
    pub pool: String,
    /// The profile.
    pub profile: ProfileReport,
}

/// The document in the form that the page reads.
#[derive(Debug, Serialize)]
struct Data<'a> {
    live: bool,
    run: &'a str,
    made: f64,
    version: &'static str,
    report: Option<&'a Report>,
    findings: &'a [Finding],
    pools: Vec<PoolData<'a>>,
    stacks: &'a [WorkerStacks],
    profiles: &'a [PoolProfile],
}

/// A recording in the form that the page reads.
#[derive(Debug, Serialize)]
struct PoolData<'a> {
    pool: &'a str,
    calls: Columns<'a>,
    deaths: &'a [RecordedDeath],
    /// Time of the last recorded event, in seconds since 1970.
    last: f64,
}

impl Document {
    /// Creates the document of a dead host from its recordings.
    pub fn of_recordings(run: String, made: f64, recordings: Vec<Recording>) -> Self {
        let findings = recordings.iter().flat_map(Recording::findings).collect();
        Self {
            run,
            made,
            findings,
            recordings,
            ..Self::default()
        }
    }

    /// Creates the document of a live host.
    pub fn of_host(
        mut report: Report,
        findings: Vec<Finding>,
        recordings: Vec<Recording>,
        stacks: Vec<WorkerStacks>,
    ) -> Self {
        // The names of sessions are private: the file may be passed on.
        for pool in &mut report.pools {
            pool.queue_by_session.clear();
        }
        Self {
            run: report.host.run.clone().unwrap_or_default(),
            made: report.at,
            report: Some(report),
            findings,
            recordings,
            stacks,
            profiles: Vec::new(),
        }
    }

    /// Serialises the document as JSON that is safe inside HTML.
    pub(super) fn json(&self) -> String {
        let pools = self.recordings.iter().map(|recording| PoolData {
            pool: &recording.pool,
            calls: columns::of(&recording.calls),
            deaths: &recording.deaths,
            last: recording.ended(),
        });
        let data = Data {
            live: false,
            run: &self.run,
            made: self.made,
            version: env!("CARGO_PKG_VERSION"),
            report: self.report.as_ref(),
            findings: &self.findings,
            pools: pools.collect(),
            stacks: &self.stacks,
            profiles: &self.profiles,
        };
        for_html(&serde_json::to_string(&data).unwrap_or_default())
    }
}

/// Escapes JSON so that it cannot end its HTML element. The escaped characters occur only in
/// strings.
pub(super) fn for_html(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_the_element_and_its_meaning_stays() {
        let text = "</script><!--<script>&\u{2028}";
        let json = serde_json::to_string(text).unwrap();
        let safe = for_html(&json);
        assert!(!safe.contains(['<', '>', '&', '\u{2028}']), "{safe}");
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), text);
    }
}
