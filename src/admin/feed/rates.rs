//! Rates and percentiles from counts that only grow.

use std::{collections::VecDeque, time::Duration};

/// Number of samples over which percentiles are taken: with few replies, those of one second would jump.
const WINDOW: usize = 10;

/// Counts of the whole process since its start.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Totals {
    /// Number of live sessions.
    pub sessions: u64,
    /// Number of messages from clients.
    pub received: u64,
    /// Number of messages to clients.
    pub sent: u64,
    /// Events with a reply.
    pub answered: u64,
    /// Events that were written and need no reply.
    pub delivered: u64,
    /// Events that failed.
    pub errored: u64,
    /// Events that a pipeline dropped.
    pub dropped: u64,
    /// Number of restarts of connectors.
    pub restarts: u64,
    /// Reply times: number of replies in each bucket, the one without upper bound last.
    pub replies: Vec<u64>,
}

/// Number of values of a sample.
pub const VALUES: usize = 11;

/// The names of the values, in order.
pub const NAMES: [&str; VALUES] = [
    "sessions",
    "received",
    "sent",
    "answered",
    "delivered",
    "errored",
    "dropped",
    "restarts",
    "p50",
    "p95",
    "p99",
];

/// The values of one second: live sessions, rates per second, restarts, and percentiles of reply times in milliseconds.
pub type Sample = [Option<f64>; VALUES];

/// Turns totals into samples.
#[derive(Debug)]
pub struct Rates {
    /// Upper bounds of the buckets of `Totals::replies`, in seconds.
    bounds: Vec<f64>,
    previous: Option<Totals>,
    /// The replies at the last samples, oldest first.
    replies: VecDeque<Vec<u64>>,
}

// === impl Rates ===

impl Rates {
    /// Creates rates without a first sample. `bounds` are the upper bounds of the buckets, in seconds.
    pub fn new(bounds: Vec<f64>) -> Self {
        Self { bounds, previous: None, replies: VecDeque::with_capacity(WINDOW + 1) }
    }

    /// The sample at a moment `elapsed` after the one before. The first one has no rates.
    pub fn sample(&mut self, totals: Totals, elapsed: Duration) -> Sample {
        let percentiles = self.percentiles(&totals.replies);
        let previous = self.previous.replace(totals);
        let Some(now) = &self.previous else { return Sample::default() };
        let rate = |count: fn(&Totals) -> u64| {
            let before = count(previous.as_ref()?);
            Some(tenths(count(now).saturating_sub(before) as f64 / elapsed.as_secs_f64().max(0.001)))
        };
        let [p50, p95, p99] = percentiles;
        [
            Some(now.sessions as f64),
            rate(|totals| totals.received),
            rate(|totals| totals.sent),
            rate(|totals| totals.answered),
            rate(|totals| totals.delivered),
            rate(|totals| totals.errored),
            rate(|totals| totals.dropped),
            previous.as_ref().map(|before| now.restarts.saturating_sub(before.restarts) as f64),
            p50,
            p95,
            p99,
        ]
    }

    /// The percentiles of the replies within the window.
    fn percentiles(&mut self, replies: &[u64]) -> [Option<f64>; 3] {
        if self.replies.len() > WINDOW {
            self.replies.pop_front();
        }
        self.replies.push_back(replies.to_vec());
        let Some(oldest) = self.replies.front() else { return [None; 3] };
        let within =
            |index: usize| replies[index] - oldest.get(index).copied().unwrap_or(0).min(replies[index]);
        let counts: Vec<u64> = (0..replies.len()).map(within).collect();
        [0.5, 0.95, 0.99].map(|part| percentile(&self.bounds, &counts, part).map(tenths))
    }
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// The reply time in milliseconds that `part` of the replies do not exceed. `None` without replies. Within a bucket,
/// replies count as evenly spread; those without upper bound count as the last bound.
fn percentile(bounds: &[f64], counts: &[u64], part: f64) -> Option<f64> {
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return None;
    }
    let rank = part * total as f64;
    let (mut below, mut lower) = (0.0, 0.0);
    for (bound, count) in bounds.iter().zip(counts) {
        let count = *count as f64;
        if below + count >= rank && count > 0.0 {
            return Some((lower + (bound - lower) * (rank - below) / count) * 1000.0);
        }
        (below, lower) = (below + count, *bound);
    }
    Some(lower * 1000.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const BOUNDS: [f64; 3] = [0.01, 0.1, 1.0];

    fn value(sample: &Sample, name: &str) -> Option<f64> {
        sample[NAMES.iter().position(|known| *known == name).unwrap()]
    }

    #[test]
    fn a_rate_is_the_difference_of_two_totals_in_the_time_between() {
        let mut rates = Rates::new(BOUNDS.to_vec());
        let first = Totals { sessions: 3, received: 100, errored: 7, ..Totals::default() };
        let sample = rates.sample(first.clone(), SECOND);
        assert_eq!((value(&sample, "sessions"), value(&sample, "received")), (Some(3.0), None));
        let second = Totals { sessions: 2, received: 125, restarts: 4, ..first };
        let sample = rates.sample(second, 2 * SECOND);
        assert_eq!(value(&sample, "sessions"), Some(2.0));
        assert_eq!(value(&sample, "received"), Some(12.5));
        assert_eq!((value(&sample, "errored"), value(&sample, "restarts")), (Some(0.0), Some(4.0)));
        assert_eq!(value(&sample, "p50"), None);
    }

    #[test]
    fn a_count_that_shrinks_gives_no_negative_rate() {
        let mut rates = Rates::new(BOUNDS.to_vec());
        rates.sample(Totals { sent: 5, replies: vec![9, 9, 9, 9], ..Totals::default() }, SECOND);
        let sample = rates.sample(Totals { replies: vec![1, 1, 1, 1], ..Totals::default() }, SECOND);
        assert_eq!((value(&sample, "sent"), value(&sample, "p99")), (Some(0.0), None));
    }

    #[test]
    fn percentiles_are_those_of_the_last_samples() {
        let mut rates = Rates::new(BOUNDS.to_vec());
        let mut replies = vec![0, 0, 0, 0];
        let mut sample = |rates: &mut Rates, more: [u64; 4]| {
            replies.iter_mut().zip(more).for_each(|(count, more)| *count += more);
            rates.sample(Totals { replies: replies.clone(), ..Totals::default() }, SECOND)
        };
        sample(&mut rates, [0, 0, 0, 50]);
        // 100 replies, evenly spread over the first bucket: half of them within 5 ms.
        let quick = sample(&mut rates, [100, 0, 0, 0]);
        assert_eq!((value(&quick, "p50"), value(&quick, "p99")), (Some(5.0), Some(9.9)));
        let slow = sample(&mut rates, [0, 0, 0, 100]);
        assert_eq!((value(&slow, "p50"), value(&slow, "p99")), (Some(10.0), Some(1000.0)));
        for _ in 0..WINDOW {
            sample(&mut rates, [0; 4]);
        }
        let silent = sample(&mut rates, [0; 4]);
        assert_eq!(value(&silent, "p50"), None);
    }

    proptest! {
        #[test]
        fn percentiles_grow_with_their_part_and_stay_within_the_bounds(
            counts in prop::collection::vec(0_u64..1000, 4),
        ) {
            let at = |part| percentile(&BOUNDS, &counts, part);
            let [p50, p95, p99] = [0.5, 0.95, 0.99].map(at);
            prop_assert_eq!(p50.is_some(), counts.iter().sum::<u64>() > 0);
            if let (Some(p50), Some(p95), Some(p99)) = (p50, p95, p99) {
                prop_assert!(p50 <= p95 && p95 <= p99 && (0.0..=1000.0).contains(&p99), "{p50} {p95} {p99}");
            }
        }
    }
}
