//! Rounds: ours, the floor and the peers take turns, so that a busy minute affects all of them.

use std::collections::BTreeMap;

use crate::Result;

/// The results of one round of one entrant, by metric.
pub(crate) type Figures = BTreeMap<&'static str, f64>;

/// The name of our entrant.
pub(crate) const OURS: &str = "snakepit";
/// The name of the floor.
pub(crate) const FLOOR: &str = "floor";

/// One side of a comparison.
pub(crate) struct Entrant<'a> {
    name: String,
    round: Box<dyn FnMut() -> Result<Figures> + 'a>,
}

impl<'a> Entrant<'a> {
    /// Creates an entrant with any name, for a library that is compared.
    pub(crate) fn new(
        name: impl Into<String>,
        round: impl FnMut() -> Result<Figures> + 'a,
    ) -> Self {
        Self {
            name: name.into(),
            round: Box::new(round),
        }
    }

    /// Creates our entrant, the subject of the measurement.
    pub(crate) fn ours(round: impl FnMut() -> Result<Figures> + 'a) -> Self {
        Self::new(OURS, round)
    }

    /// Creates the floor: the least cost that any design must have.
    pub(crate) fn floor(round: impl FnMut() -> Result<Figures> + 'a) -> Self {
        Self::new(FLOOR, round)
    }
}

/// All rounds of all entrants: for each name and metric, one value for each round.
#[derive(Debug, Default)]
pub(crate) struct Series(BTreeMap<String, BTreeMap<&'static str, Vec<f64>>>);

/// Lets the entrants take turns for `rounds` rounds.
pub(crate) fn alternate(rounds: usize, entrants: &mut [Entrant<'_>]) -> Result<Series> {
    let mut series = Series::default();
    for _ in 0..rounds {
        for entrant in &mut *entrants {
            let figures =
                (entrant.round)().map_err(|error| format!("{}: {error}", entrant.name))?;
            let of = series.0.entry(entrant.name.clone()).or_default();
            for (metric, value) in figures {
                of.entry(metric).or_default().push(value);
            }
        }
    }
    Ok(series)
}

impl Series {
    /// Returns the values of one metric of one entrant, one for each round; empty if it has none.
    pub(crate) fn values(&self, name: &str, metric: &str) -> &[f64] {
        self.0
            .get(name)
            .and_then(|of| of.get(metric))
            .map_or(&[], Vec::as_slice)
    }

    /// Returns the entrants other than ours and the floor.
    pub(crate) fn peers(&self) -> impl Iterator<Item = &str> {
        self.0
            .keys()
            .map(String::as_str)
            .filter(|name| ![OURS, FLOOR].contains(name))
    }

    /// Returns the median of a metric of an entrant.
    pub(crate) fn median(&self, name: &str, metric: &str) -> Option<f64> {
        median(self.values(name, metric))
    }

    /// Returns the median of our values divided by the other's, round by round.
    pub(crate) fn ratio(&self, other: &str, metric: &str) -> Option<f64> {
        let pairs = self
            .values(OURS, metric)
            .iter()
            .zip(self.values(other, metric));
        median(&pairs.map(|(ours, other)| ours / other).collect::<Vec<_>>())
    }
}

/// Returns the middle value; for an even number, the mean of the two middle ones.
fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let high = *sorted.get(middle)?;
    Some(if sorted.len().is_multiple_of(2) {
        (sorted[middle - 1] + high) / 2.0
    } else {
        high
    })
}

#[cfg(test)]
mod tests {
    use super::{Entrant, Figures, alternate, median};

    #[test]
    fn medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
    }

    #[test]
    fn ratios_are_taken_pair_by_pair() {
        let figures = |value| Ok(Figures::from([("rate", value)]));
        let (mut a, mut b) = ([2.0, 8.0, 30.0].into_iter(), [1.0, 2.0, 3.0].into_iter());
        let mut entrants = [
            Entrant::ours(|| figures(a.next().ok_or("over")?)),
            Entrant::floor(|| figures(b.next().ok_or("over")?)),
        ];
        let series = alternate(3, &mut entrants).unwrap();
        assert_eq!(series.ratio("floor", "rate"), Some(4.0));
        assert_eq!(series.median("snakepit", "rate"), Some(8.0));
        assert_eq!(series.ratio("nobody", "rate"), None);
    }

    #[test]
    fn a_failure_names_the_entrant() {
        let error = alternate(1, &mut [Entrant::new("ppe", || Err("gone".into()))]).unwrap_err();
        assert_eq!(error.to_string(), "ppe: gone");
    }
}
