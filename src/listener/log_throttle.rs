//! Limits the rate of log lines about refusals, so that a client that provokes refusals cannot flood the log.
//!
//! No clocks are used here: `now` is an argument.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::log::count_suppressed;

/// Minimum time between two lines with the same reason.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// The latest line for each reason.
#[derive(Debug, Default)]
pub(super) struct LogThrottle {
    /// The latest line for each reason. Reasons are string literals, so their number is bounded.
    reasons: HashMap<&'static str, Recent>,
}

#[derive(Debug)]
struct Recent {
    written: Instant,
    suppressed: u64,
}

/// The action for a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineDecision {
    /// Write the line, with the number of lines that were suppressed since the last one.
    Written(u64),
    /// Suppress the line. It is the first one since a line was written: call [`LogThrottle::suppressed`]
    /// after [`PAUSE`].
    First,
    /// Suppress the line.
    More,
}

impl LogThrottle {
    /// Determines the action for a line with this reason.
    pub(super) fn line(&mut self, reason: &'static str, now: Instant) -> LineDecision {
        let Some(recent) = self.reasons.get_mut(reason) else {
            self.reasons.insert(reason, Recent { written: now, suppressed: 0 });
            return LineDecision::Written(0);
        };
        if now.saturating_duration_since(recent.written) >= PAUSE {
            let suppressed = recent.suppressed;
            *recent = Recent { written: now, suppressed: 0 };
            return LineDecision::Written(suppressed);
        }
        recent.suppressed += 1;
        count_suppressed();
        if recent.suppressed == 1 { LineDecision::First } else { LineDecision::More }
    }

    /// Number of lines suppressed since the last one was written. The count is reset, because the caller
    /// reports it.
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
    use crate::log::lost_lines;

    #[test]
    fn each_reason_has_one_line_per_second() {
        let now = Instant::now();
        let mut log_throttle = LogThrottle::default();
        assert_eq!(log_throttle.line("a", now), LineDecision::Written(0));
        assert_eq!(log_throttle.line("a", now), LineDecision::First);
        assert_eq!(log_throttle.line("a", now), LineDecision::More);
        assert_eq!(log_throttle.line("b", now), LineDecision::Written(0));
        let later = now + PAUSE;
        assert_eq!(log_throttle.line("a", later), LineDecision::Written(2));
        assert_eq!(log_throttle.suppressed("a", later), 0, "already reported");
        assert_eq!(log_throttle.line("a", later), LineDecision::First);
        let later = later + PAUSE;
        assert_eq!(log_throttle.suppressed("a", later), 1);
        assert_eq!(log_throttle.line("a", later), LineDecision::First, "the summary counts as a line");
        assert_eq!(log_throttle.suppressed("c", later), 0);
    }

    #[test]
    fn a_line_that_is_suppressed_counts_for_the_metric() {
        let (now, mut log_throttle) = (Instant::now(), LogThrottle::default());
        let before = lost_lines().suppressed;
        (0..1000).for_each(|_| _ = log_throttle.line("counted", now));
        // Other tests count as well.
        assert!(lost_lines().suppressed - before >= 999);
    }
}
