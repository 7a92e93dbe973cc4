//! Summaries of samples.

use serde_json::{Value, json};

/// Samples, sorted; never empty.
#[derive(Debug, Clone)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// Takes samples of one unit.
    ///
    /// # Errors
    /// There are none.
    pub(crate) fn new(mut values: Vec<f64>) -> anyhow::Result<Self> {
        anyhow::ensure!(!values.is_empty(), "there is nothing to summarise: no sample was taken");
        values.sort_by(f64::total_cmp);
        Ok(Self(values))
    }

    /// The smallest sample that at least `share` (0 to 1) of all samples do not exceed.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let rank = (share * self.0.len() as f64).ceil() as usize;
        self.0[rank.clamp(1, self.0.len()) - 1]
    }

    /// The middle one.
    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// As a figure's context: {n, min, p50, p99, max}.
    pub(crate) fn describe(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("n", json!(self.0.len())),
            ("min", json!(rounded(self.quantile(0.0)))),
            ("p50", json!(rounded(self.median()))),
            ("p99", json!(rounded(self.quantile(0.99)))),
            ("max", json!(rounded(self.quantile(1.0)))),
        ]
    }
}

/// To three places, or to whole numbers from a thousand on: more is noise.
pub(crate) fn rounded(value: f64) -> f64 {
    if value.abs() >= 1000.0 { value.round() } else { (value * 1000.0).round() / 1000.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_samples_by_nearest_rank() {
        let samples = Samples::new((1..=200).rev().map(f64::from).collect()).unwrap();
        assert_eq!([0.0, 0.5, 0.99, 1.0].map(|share| samples.quantile(share)), [1.0, 100.0, 198.0, 200.0]);
    }

    #[test]
    fn no_samples_is_an_error_not_a_number() {
        assert!(Samples::new(Vec::new()).is_err());
    }
}
