//! Histograms of durations with one writer.

use std::time::Duration;

use super::count::Count;

/// The upper limits of the buckets of a histogram, in microseconds and in ascending order. Durations above the last
/// one are in a bucket without limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buckets(pub &'static [u64]);

/// Limits for the time until a reply: half a millisecond is that of an upstream on the same machine, and half a minute
/// is the default of `reply_timeout`. Each is two to two and a half times the one before, so that a percentile is known
/// within that factor.
pub const REPLY: Buckets = Buckets(&[
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000,
]);

/// Limits for outages: a tenth of a second is the shortest default delay of a reconnect, and a quarter of an hour that of
/// an outage which somebody has to end.
pub const OUTAGE: Buckets = Buckets(&[
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
    900_000_000,
]);

/// The number of durations in each bucket, and their sum. One thread writes it; see [`Count`].
#[derive(Debug)]
pub struct Histogram {
    buckets: Buckets,
    /// One for each bucket, and one for durations above the last limit.
    counts: Box<[Count]>,
    sum_us: Count,
}

/// A [`Histogram`], or the sum of several with the same buckets, at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramTotals {
    /// The upper limit of each bucket in seconds, and the number of durations in it. The last limit is infinite.
    pub buckets: Box<[(f64, u64)]>,
    /// The sum of all durations, in seconds.
    pub sum: f64,
}

// === impl Histogram ===

impl Histogram {
    /// Creates an empty histogram.
    pub fn new(buckets: Buckets) -> Self {
        let counts = (0..=buckets.0.len()).map(|_| Count::default()).collect();
        Self { buckets, counts, sum_us: Count::default() }
    }

    /// Counts a duration. Only the writer may call it.
    pub fn observe(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let at = self.buckets.0.partition_point(|limit| *limit < us);
        self.counts[at].add(1);
        self.sum_us.add(us);
    }

    /// The numbers at this moment.
    pub fn totals(&self) -> HistogramTotals {
        let mut totals = HistogramTotals::empty(self.buckets);
        totals.add(self);
        totals
    }
}

// === impl HistogramTotals ===

impl HistogramTotals {
    /// No durations.
    pub fn empty(buckets: Buckets) -> Self {
        let limits = buckets.0.iter().map(|us| *us as f64 / 1e6).chain([f64::INFINITY]);
        Self { buckets: limits.map(|limit| (limit, 0)).collect(), sum: 0.0 }
    }

    /// Adds a histogram with the same buckets.
    pub fn add(&mut self, histogram: &Histogram) {
        for ((_, total), count) in self.buckets.iter_mut().zip(&histogram.counts) {
            *total += count.get();
        }
        self.sum += histogram.sum_us.get() as f64 / 1e6;
    }

    /// The number of all durations.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_first_bucket_that_holds_it() {
        let histogram = Histogram::new(Buckets(&[1_000, 10_000]));
        for us in [0, 1_000, 1_001, 10_000, 10_001, 5_000_000] {
            histogram.observe(Duration::from_micros(us));
        }
        let mut totals = histogram.totals();
        assert_eq!(*totals.buckets, [(0.001, 2), (0.01, 2), (f64::INFINITY, 2)]);
        assert_eq!((totals.count(), totals.sum), (6, 5.022_002));
        totals.add(&histogram);
        assert_eq!((totals.count(), totals.sum), (12, 10.044_004));
    }

    #[test]
    fn the_limits_ascend() {
        for Buckets(limits) in [REPLY, OUTAGE] {
            assert!(limits.is_sorted_by(|before, after| before < after), "{limits:?}");
        }
    }
}
