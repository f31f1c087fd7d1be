//! Latencies and medians.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Latencies of one phase, in microseconds up to a minute with three digits.
pub struct Latencies {
    histogram: Histogram<u64>,
}

impl Latencies {
    /// No latency yet.
    pub fn new() -> Self {
        let histogram = Histogram::new_with_max(60_000_000, 3)
            .expect("a minute in microseconds with three digits is a valid range");
        Self { histogram }
    }

    /// Adds one.
    pub fn record(&mut self, latency: Duration) {
        self.histogram.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        // Both have the same range, so adding cannot fail.
        let _ = self.histogram.add(&other.histogram);
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The latency that `percent` (0 to 100) stay below, in ms.
    pub fn percentile_ms(&self, percent: f64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "microseconds below a minute")]
        let microseconds = self.histogram.value_at_percentile(percent) as f64;
        microseconds / 1000.0
    }
}

/// The median; 0 of nothing.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        length if length % 2 == 1 => sorted[length / 2],
        length => f64::midpoint(sorted[length / 2 - 1], sorted[length / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_and_medians() {
        let mut latencies = Latencies::new();
        for milliseconds in 1..=100 {
            latencies.record(Duration::from_millis(milliseconds));
        }
        assert!((latencies.percentile_ms(50.0) - 50.0).abs() < 0.1);
        assert!((median(&[3.0, 1.0, 2.0, 10.0]) - 2.5).abs() < f64::EPSILON);
    }
}
