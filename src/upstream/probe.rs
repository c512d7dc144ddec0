//! When an endpoint that is down is probed.
//!
//! No clocks are used here: the time is passed in.

use std::time::{Duration, Instant};

use crate::policy::ProbeTimes;

/// The time between two probes is the length of the outage so far divided by this number, so that the end of an
/// outage is noticed late by at most a twentieth of its length.
const PART: u32 = 20;

/// The probes of one endpoint.
#[derive(Debug, Default)]
pub struct Probes {
    /// When the last probe began.
    begun: Option<Instant>,
    /// Whether a probe is in progress.
    runs: bool,
    /// Whether a session waits for the next probe.
    is_wanted: bool,
}

impl Probes {
    /// Has the next probe begin as soon as the shortest time between two probes allows.
    pub fn want(&mut self) {
        self.is_wanted = true;
    }

    /// Whether a probe that began then or later has ended.
    pub fn has_ended_since(&self, then: Instant) -> bool {
        !self.runs && self.begun.is_some_and(|begun| begun >= then)
    }

    /// When the next probe begins, for an outage that began `since`. `None` while a probe runs: its end decides.
    pub fn due(&self, since: Instant, now: Instant, times: ProbeTimes) -> Option<Instant> {
        if self.runs {
            return None;
        }
        let Some(begun) = self.begun else { return Some(now) };
        let interval = match self.is_wanted {
            true => times.min,
            false => interval(now.saturating_duration_since(since), times),
        };
        Some(begun + interval)
    }

    /// When an endpoint that is up is checked next.
    pub fn next_check(&self, interval: Duration, now: Instant) -> Option<Instant> {
        (!self.runs).then(|| self.begun.map_or(now, |begun| begun + interval))
    }

    /// A probe begins.
    pub fn begin(&mut self, now: Instant) {
        (self.begun, self.runs, self.is_wanted) = (Some(now), true, false);
    }

    /// The probe in progress has ended.
    pub fn end(&mut self) {
        self.runs = false;
    }
}

/// The time between two probes, after an outage of this length.
fn interval(outage: Duration, ProbeTimes { min, max }: ProbeTimes) -> Duration {
    (outage / PART).min(max).max(min)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: ProbeTimes = ProbeTimes { min: Duration::from_millis(50), max: Duration::from_secs(1) };

    /// When the probes of an outage begin, in milliseconds, if each takes no time.
    fn schedule(until: u64) -> Vec<u64> {
        let (mut probes, since) = (Probes::default(), Instant::now());
        let mut begun = Vec::new();
        for ms in 0..until {
            let now = since + Duration::from_millis(ms);
            if probes.due(since, now, TIMES).is_some_and(|due| due <= now) {
                probes.begin(now);
                probes.end();
                begun.push(ms);
            }
        }
        begun
    }

    #[test]
    fn the_first_probe_is_at_once_and_the_next_ones_are_close() {
        assert_eq!(schedule(260), [0, 50, 100, 150, 200, 250]);
    }

    #[test]
    fn an_outage_is_noticed_late_by_a_twentieth_of_its_length_at_most() {
        let begun = schedule(60_000);
        for pair in begun.windows(2) {
            let (pause, outage) = (pair[1] - pair[0], pair[1]);
            assert!((50..=1000).contains(&pause), "{pause} ms after {outage} ms");
            assert!(pause <= 50.max(outage / 20 + 1), "{pause} ms after {outage} ms");
        }
        assert!(begun.len() < 160, "{} probes in a minute", begun.len());
    }

    #[test]
    fn a_probe_that_is_wanted_comes_after_the_shortest_time() {
        let (mut probes, since) = (Probes::default(), Instant::now());
        let late = since + Duration::from_secs(100);
        probes.begin(late);
        probes.want();
        assert_eq!(probes.due(since, late, TIMES), None, "one probe at a time");
        assert!(!probes.has_ended_since(late));
        probes.end();
        assert!(probes.has_ended_since(late) && !probes.has_ended_since(late + TIMES.min));
        assert_eq!(probes.due(since, late, TIMES), Some(late + TIMES.min));
        probes.begin(late + TIMES.min);
        probes.end();
        assert_eq!(
            probes.due(since, late + TIMES.min, TIMES),
            Some(late + TIMES.min + TIMES.max),
            "it was wanted once"
        );
    }
}
