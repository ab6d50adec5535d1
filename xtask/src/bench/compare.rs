//! Comparison of two results of a benchmark.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// Percentage by which a worse figure counts as a regression.
pub(super) const LIMIT_PERCENT: f64 = 10.0;

/// The rows of one JSON file, by bench, case and metric.
#[derive(Debug)]
pub(super) struct Rows(BTreeMap<String, Figure>);

#[derive(Clone, Copy, Debug)]
struct Figure {
    value: f64,
    /// Ratio to the floor measured in the same minute, which makes results of two days comparable.
    ratio: Option<f64>,
    higher_is_better: bool,
}

/// One figure, before and now.
#[derive(Debug)]
pub(super) struct Change {
    name: String,
    what: &'static str,
    old: f64,
    new: f64,
    /// Deterioration in percent; negative if the figure is better.
    worse: f64,
}

impl Rows {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let rows: Vec<Value> = serde_json::from_str(text)?;
        let mut figures = BTreeMap::new();
        for row in &rows {
            let text = |key: &str| {
                row[key]
                    .as_str()
                    .with_context(|| format!("`{key}` of {row}"))
            };
            let (bench, case, metric) = (text("bench")?, text("case")?, text("metric")?);
            let value = row["value"]
                .as_f64()
                .with_context(|| format!("`value` of {row}"))?;
            let figure = Figure {
                value,
                ratio: row["floor"]
                    .as_f64()
                    .filter(|floor| *floor > 0.0)
                    .map(|floor| value / floor),
                higher_is_better: text("unit")?.ends_with("/s"),
            };
            figures.insert(format!("{bench} {case} {metric}"), figure);
        }
        Ok(Self(figures))
    }

    /// Compares the figures that both results have: by their ratio to the floor if both have one.
    pub(super) fn against(&self, old: &Self) -> Vec<Change> {
        let both = self
            .0
            .iter()
            .filter_map(|(name, new)| Some((name, new, old.0.get(name)?)));
        both.map(|(name, new, old)| {
            let (what, from, to) = match (old.ratio, new.ratio) {
                (Some(from), Some(to)) => ("x floor", from, to),
                _ => ("value", old.value, new.value),
            };
            let growth = if from == 0.0 {
                0.0
            } else {
                (to / from - 1.0) * 100.0
            };
            let shrink = if to == 0.0 {
                f64::INFINITY
            } else {
                (from / to - 1.0) * 100.0
            };
            let worse = if new.higher_is_better { shrink } else { growth };
            Change {
                name: name.clone(),
                what,
                old: from,
                new: to,
                worse,
            }
        })
        .collect()
    }
}

impl Change {
    pub(super) fn is_regression(&self) -> bool {
        self.worse > LIMIT_PERCENT
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            what,
            old,
            new,
            worse,
        } = self;
        let word = match *worse {
            worse if worse > LIMIT_PERCENT => "WORSE",
            worse if worse < -LIMIT_PERCENT => "better",
            _ => "same",
        };
        write!(
            f,
            "{word:<6} {name}: {old:.3} -> {new:.3} ({what}, {worse:+.1}% worse)"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(value: f64, floor: &str, unit: &str) -> Rows {
        Rows::parse(&format!(
            r#"[{{"bench":"b","case":"c","metric":"m","unit":"{unit}","value":{value},"floor":{floor},"peers":{{}}}}]"#
        ))
        .unwrap()
    }

    #[test]
    fn a_slower_machine_is_no_regression_since_its_floor_is_slower_too() {
        let changes = rows(80.0, "40", "us").against(&rows(40.0, "20", "us"));
        assert!(!changes[0].is_regression(), "{}", changes[0]);
        assert!(rows(80.0, "20", "us").against(&rows(40.0, "20", "us"))[0].is_regression());
    }

    #[test]
    fn rates_are_worse_when_they_fall() {
        assert!(rows(80.0, "null", "1/s").against(&rows(100.0, "null", "1/s"))[0].is_regression());
        assert!(
            !rows(120.0, "null", "1/s").against(&rows(100.0, "null", "1/s"))[0].is_regression()
        );
        assert!(rows(0.0, "null", "1/s").against(&rows(100.0, "null", "1/s"))[0].is_regression());
    }

    #[test]
    fn a_file_that_is_no_result_is_refused() {
        for bad in [
            "",
            "{}",
            "[1]",
            r#"[{"bench":"b","case":"c","metric":"m","unit":"u"}]"#,
        ] {
            assert!(Rows::parse(bad).is_err(), "{bad}");
        }
    }
}
