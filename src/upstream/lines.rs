//! Limits the log lines about restarts, so that thousands of sessions that lose one upstream do not flood the log.
//!
//! No clocks are used here: the time is passed in.

use std::{
    fmt,
    time::{Duration, Instant},
};

const SECOND: Duration = Duration::from_secs(1);

/// Most lines a second of one level about one upstream.
const LINES_MAX: u32 = 500;

/// The lines of one level about one upstream.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// When the current second began, and the lines in it.
    second: Option<(Instant, u32)>,
    suppressed: u64,
}

/// What happens to a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// It is written, with the number of lines that were suppressed before it.
    Write(Suppressed),
    /// It is suppressed. `is_first` is whether it is the first one since a line was written.
    Suppress { is_first: bool },
}

/// The number of lines that were suppressed before a line; prints as ` suppressed=N`, or nothing for 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Suppressed(u64);

// === impl Lines ===

impl Lines {
    /// Counts a line.
    pub(super) fn line(&mut self, now: Instant) -> Line {
        let count = match &mut self.second {
            Some((begun, count)) if now.saturating_duration_since(*begun) < SECOND => count,
            second => &mut second.insert((now, 0)).1,
        };
        if *count >= LINES_MAX {
            self.suppressed += 1;
            return Line::Suppress { is_first: self.suppressed == 1 };
        }
        *count += 1;
        Line::Write(self.take())
    }

    /// The number of lines that were suppressed since a line was written.
    pub(super) fn take(&mut self) -> Suppressed {
        Suppressed(std::mem::take(&mut self.suppressed))
    }

    /// When the number of suppressed lines is due for a separate line; `None` if there are none.
    pub(super) fn summary_due(&self) -> Option<Instant> {
        let (begun, _) = self.second.filter(|_| self.suppressed > 0)?;
        Some(begun + SECOND)
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

    fn shown(line: Line) -> Option<String> {
        match line {
            Line::Write(suppressed) => Some(suppressed.to_string()),
            Line::Suppress { .. } => None,
        }
    }

    #[test]
    fn a_flood_is_cut_and_counted() {
        let (mut lines, now) = (Lines::default(), Instant::now());
        let written = (0..2000).filter(|_| shown(lines.line(now)).is_some()).count();
        assert_eq!((written, lines.summary_due()), (500, Some(now + SECOND)));
        assert_eq!(shown(lines.line(now + SECOND)).as_deref(), Some(" suppressed=1500"));
        assert_eq!(shown(lines.line(now + SECOND)).as_deref(), Some(""));
        assert_eq!(lines.summary_due(), None);
    }

    #[test]
    fn the_first_line_that_is_suppressed_is_marked() {
        let (mut lines, now) = (Lines::default(), Instant::now());
        (0..500).for_each(|_| _ = lines.line(now));
        let suppressed = [(); 3].map(|()| lines.line(now));
        assert_eq!(suppressed, [true, false, false].map(|is_first| Line::Suppress { is_first }));
    }
}
