//! One figure: its value, its floor, its peers and its requirements.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::Result;
use crate::contest::{FLOOR, OURS, Series};

/// One line of the table and of `NAME.json`. Every ratio is ours divided by the other.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) bench: &'static str,
    pub(crate) case: String,
    pub(crate) metric: &'static str,
    pub(crate) unit: &'static str,
    /// Median of our values.
    pub(crate) value: f64,
    /// Median of the floor.
    pub(crate) floor: Option<f64>,
    /// Ours divided by the floor, median over the rounds.
    pub(crate) ratio: Option<f64>,
    /// Least and greatest floor: a measure of the machine's noise.
    pub(crate) noise: Option<[f64; 2]>,
    /// Median of each peer.
    pub(crate) peers: BTreeMap<String, f64>,
    /// Ours divided by each peer, median over the rounds.
    pub(crate) peer_ratios: BTreeMap<String, f64>,
    /// Requirements on the figure.
    pub(crate) targets: Vec<TargetResult>,
}

/// One requirement, and its result.
#[derive(Debug, Serialize)]
pub(crate) struct TargetResult {
    /// The requirement as text.
    pub(crate) target: String,
    /// The requirement is met.
    pub(crate) met: bool,
}

/// A requirement on one figure.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// The value is at most this.
    AtMost(f64),
    /// The value is at least this.
    AtLeast(f64),
    /// The value is at most this many times the floor, plus a constant.
    FloorAtMost(f64, f64),
    /// The value is at least this many times the peer's.
    PeerAtLeast(&'static str, f64),
    /// The value is at most this many times the peer's.
    PeerAtMost(&'static str, f64),
}

impl Row {
    /// Creates a row of a single value, without floor or peers.
    pub(crate) fn of(
        bench: &'static str,
        case: impl Into<String>,
        (metric, unit): (&'static str, &'static str),
        value: f64,
    ) -> Self {
        Self {
            bench,
            case: case.into(),
            metric,
            unit,
            value,
            floor: None,
            ratio: None,
            noise: None,
            peers: BTreeMap::new(),
            peer_ratios: BTreeMap::new(),
            targets: Vec::new(),
        }
    }

    /// Creates the row of one metric of a series. `None` if our entrant has no such metric.
    pub(crate) fn from_series(
        bench: &'static str,
        case: impl Into<String>,
        (metric, unit): (&'static str, &'static str),
        series: &Series,
    ) -> Option<Self> {
        let floors = series.values(FLOOR, metric);
        let least = floors.iter().copied().min_by(f64::total_cmp);
        let greatest = floors.iter().copied().max_by(f64::total_cmp);
        let of_peers = |figure: &dyn Fn(&str) -> Option<f64>| {
            series
                .peers()
                .filter_map(|name| Some((name.to_owned(), figure(name)?)))
                .collect::<BTreeMap<_, _>>()
        };
        Some(Self {
            floor: series.median(FLOOR, metric),
            ratio: series.ratio(FLOOR, metric),
            noise: least
                .zip(greatest)
                .map(|(least, greatest)| [least, greatest]),
            peers: of_peers(&|name| series.median(name, metric)),
            peer_ratios: of_peers(&|name| series.ratio(name, metric)),
            ..Self::of(bench, case, (metric, unit), series.median(OURS, metric)?)
        })
    }

    /// Adds a requirement. A requirement about an absent peer or floor is left out.
    #[must_use]
    pub(crate) fn target(mut self, target: Target) -> Self {
        let result = match target {
            Target::AtMost(limit) => Some((format!("<= {limit}"), self.value <= limit)),
            Target::AtLeast(limit) => Some((format!(">= {limit}"), self.value >= limit)),
            Target::FloorAtMost(times, plus) => self.ratio.zip(self.floor).map(|(ratio, floor)| {
                let text = if plus > 0.0 {
                    format!(" + {plus}")
                } else {
                    String::new()
                };
                // Without a constant the ratio of pairs is the more precise figure.
                let met = if plus > 0.0 {
                    self.value <= times * floor + plus
                } else {
                    ratio <= times
                };
                (format!("<= {times} x floor{text}"), met)
            }),
            Target::PeerAtLeast(peer, times) => self
                .peer_ratios
                .get(peer)
                .map(|ratio| (format!(">= {times} x {peer}"), *ratio >= times)),
            Target::PeerAtMost(peer, times) => self
                .peer_ratios
                .get(peer)
                .map(|ratio| (format!("<= {times} x {peer}"), *ratio <= times)),
        };
        self.targets
            .extend(result.map(|(target, met)| TargetResult { target, met }));
        self
    }
}

/// Writes the rows of one benchmark to `DIR/NAME.json`.
pub(crate) fn save(dir: &Path, name: &str, rows: &[Row]) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    let mut text = serde_json::to_string_pretty(rows)?;
    text.push('\n');
    Ok(std::fs::write(dir.join(format!("{name}.json")), text)?)
}

#[cfg(test)]
mod tests {
    use super::{Row, Target};
    use crate::contest::{Entrant, Figures, alternate};

    fn row(ours: f64, floor: f64, peer: f64) -> Row {
        let figures = |value| move || Ok(Figures::from([("p50", value)]));
        let mut entrants = [
            Entrant::ours(figures(ours)),
            Entrant::floor(figures(floor)),
            Entrant::new("ppe", figures(peer)),
        ];
        let series = alternate(1, &mut entrants).unwrap();
        Row::from_series("echo", "1", ("p50", "us"), &series).unwrap()
    }

    #[test]
    fn targets() {
        let row = row(30.0, 20.0, 120.0)
            .target(Target::FloorAtMost(1.5, 0.0))
            .target(Target::FloorAtMost(1.0, 5.0))
            .target(Target::PeerAtMost("ppe", 0.25))
            .target(Target::PeerAtLeast("loky", 2.0))
            .target(Target::AtLeast(40.0));
        let met: Vec<_> = row.targets.iter().map(|result| result.met).collect();
        assert_eq!(
            met,
            [true, false, true, false],
            "a target on a missing peer is left out"
        );
        assert_eq!(row.targets[1].target, "<= 1 x floor + 5");
    }

    #[test]
    fn json_has_the_agreed_keys() {
        let value = serde_json::to_value(row(30.0, 20.0, 120.0)).unwrap();
        for key in [
            "bench", "case", "metric", "unit", "value", "floor", "peers", "ratio",
        ] {
            assert!(value.get(key).is_some(), "{key}");
        }
        assert_eq!(value["peers"]["ppe"], 120.0);
        assert_eq!(value["peer_ratios"]["ppe"], 0.25);
    }
}
