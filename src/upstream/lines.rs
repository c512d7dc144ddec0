//! Limits the log lines about restarts, so that thousands of sessions that lose one upstream do not flood the log.
//!
//! No clocks are used here: the time is passed in.

use std::{
    fmt,
    time::{Duration, Instant},
};

/// Most lines a second about one upstream.
const LINES_MAX: u32 = 500;

/// The lines about one upstream.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// When the current second began, and the lines in it.
    second: Option<(Instant, u32)>,
    suppressed: u64,
}

/// The number of lines that were suppressed before a line; prints as ` suppressed=N`, or nothing for 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suppressed(u64);

// === impl Lines ===

impl Lines {
    /// Counts a line. Returns what the line says about suppressed ones; `None` if it is suppressed itself.
    pub(super) fn line(&mut self, important: bool, now: Instant) -> Option<Suppressed> {
        let count = match &mut self.second {
            Some((begun, count)) if now.saturating_duration_since(*begun) < Duration::from_secs(1) => count,
            second => &mut second.insert((now, 0)).1,
        };
        if *count >= LINES_MAX && !important {
            self.suppressed += 1;
            return None;
        }
        *count += 1;
        Some(self.take())
    }

    /// The number of lines suppressed since this was last asked.
    pub(super) fn take(&mut self) -> Suppressed {
        Suppressed(std::mem::take(&mut self.suppressed))
    }
}

impl fmt::Display for Suppressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 > 0 { write!(f, " suppressed={}", self.0) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_counted() {
        let (mut lines, now) = (Lines::default(), Instant::now());
        let written = (0..2000).filter(|_| lines.line(false, now).is_some()).count();
        assert_eq!(written, 500);
        assert_eq!(lines.line(true, now).map(|it| it.to_string()).as_deref(), Some(" suppressed=1500"));
        let later = now + Duration::from_secs(1);
        assert_eq!(lines.line(false, later).map(|it| it.to_string()).as_deref(), Some(""));
    }
}
