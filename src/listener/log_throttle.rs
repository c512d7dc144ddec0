//! Keeps lines about refusals from flooding the log: who is refused at will cannot write at will.
//!
//! Pure; `now` is passed in.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// For each reason there is a line at most so often.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// What was written not long ago, by reason.
#[derive(Debug, Default)]
pub(super) struct LogThrottle {
    /// The reasons are those that stand in the code.
    reasons: HashMap<&'static str, Recent>,
}

#[derive(Debug)]
struct Recent {
    written: Instant,
    suppressed: u64,
}

/// What becomes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// It is written, and that so many were not since the last one.
    Written(u64),
    /// It is the first that is not written after one that was: after [`PAUSE`] it is time for
    /// [`LogThrottle::suppressed`].
    First,
    /// It is one more that is not written.
    More,
}

impl LogThrottle {
    /// What becomes of a line with this reason.
    pub(super) fn line(&mut self, reason: &'static str, now: Instant) -> Line {
        let Some(recent) = self.reasons.get_mut(reason) else {
            self.reasons.insert(reason, Recent { written: now, suppressed: 0 });
            return Line::Written(0);
        };
        if now.saturating_duration_since(recent.written) >= PAUSE {
            let suppressed = recent.suppressed;
            *recent = Recent { written: now, suppressed: 0 };
            return Line::Written(suppressed);
        }
        recent.suppressed += 1;
        if recent.suppressed == 1 { Line::First } else { Line::More }
    }

    /// How many lines were not written, to be told now.
    pub(super) fn suppressed(&mut self, reason: &'static str, now: Instant) -> u64 {
        let Some(recent) = self.reasons.get_mut(reason) else { return 0 };
        if recent.suppressed > 0 {
            recent.written = now;
        }
        std::mem::take(&mut recent.suppressed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_for_each_reason() {
        let now = Instant::now();
        let mut log_throttle = LogThrottle::default();
        assert_eq!(log_throttle.line("a", now), Line::Written(0));
        assert_eq!(log_throttle.line("a", now), Line::First);
        assert_eq!(log_throttle.line("a", now), Line::More);
        assert_eq!(log_throttle.line("b", now), Line::Written(0));
        let later = now + PAUSE;
        assert_eq!(log_throttle.line("a", later), Line::Written(2));
        assert_eq!(log_throttle.suppressed("a", later), 0, "told already");
        assert_eq!(log_throttle.line("a", later), Line::First);
        let later = later + PAUSE;
        assert_eq!(log_throttle.suppressed("a", later), 1);
        assert_eq!(log_throttle.line("a", later), Line::First, "that was a line too");
        assert_eq!(log_throttle.suppressed("c", later), 0);
    }
}
