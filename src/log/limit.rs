//! Limits lines of one kind, so that what happens to thousands of sessions at once does not flood the log.
//!
//! No clocks are used here: the time is passed in.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::lost::count_suppressed;

const SECOND: Duration = Duration::from_secs(1);

/// The lines of one kind: a number of them a second is written, and the others are counted.
#[derive(Debug)]
pub(crate) struct LineLimit {
    /// Maximum number of lines a second.
    max: u32,
    /// When the current second began, and the lines in it.
    second: Option<(Instant, u32)>,
    suppressed: u64,
}

/// What happens to a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LimitedLine {
    /// It is written, with the number of lines that were suppressed before it.
    Write(Suppressed),
    /// It is suppressed. `is_first` is whether it is the first one since a line was written.
    Suppress { is_first: bool },
}

/// The number of lines that were suppressed before a line; prints as ` suppressed=N`, or nothing for 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Suppressed(u64);

/// The lines that one place in the code writes, on all threads. The number of those that are suppressed is in the next
/// line that is written.
#[derive(Debug)]
pub(crate) struct PlaceLimit(Mutex<LineLimit>);

// === impl PlaceLimit ===

impl PlaceLimit {
    /// Writes at most `max` lines a second.
    pub(crate) const fn new(max: u32) -> Self {
        Self(Mutex::new(LineLimit::new(max)))
    }

    /// Counts a line. Returns what it says about suppressed ones; `None` if it is suppressed.
    pub(crate) fn line(&self, now: Instant) -> Option<Suppressed> {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).line(now) {
            LimitedLine::Write(suppressed) => Some(suppressed),
            LimitedLine::Suppress { .. } => None,
        }
    }
}

// === impl Suppressed ===

impl Suppressed {
    /// The number.
    pub(crate) fn count(self) -> u64 {
        self.0
    }
}

// === impl LineLimit ===

impl LineLimit {
    /// Writes at most `max` lines a second.
    pub(crate) const fn new(max: u32) -> Self {
        Self { max, second: None, suppressed: 0 }
    }

    /// Counts a line.
    pub(crate) fn line(&mut self, now: Instant) -> LimitedLine {
        let count = match &mut self.second {
            Some((begun, count)) if now.saturating_duration_since(*begun) < SECOND => count,
            second => &mut second.insert((now, 0)).1,
        };
        if *count >= self.max {
            self.suppressed += 1;
            count_suppressed();
            return LimitedLine::Suppress { is_first: self.suppressed == 1 };
        }
        *count += 1;
        LimitedLine::Write(self.take())
    }

    /// The number of lines that were suppressed since a line was written.
    pub(crate) fn take(&mut self) -> Suppressed {
        Suppressed(std::mem::take(&mut self.suppressed))
    }

    /// When the number of suppressed lines is due for a separate line; `None` if there are none.
    pub(crate) fn summary_due(&self) -> Option<Instant> {
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

    fn shown(line: LimitedLine) -> Option<String> {
        match line {
            LimitedLine::Write(suppressed) => Some(suppressed.to_string()),
            LimitedLine::Suppress { .. } => None,
        }
    }

    #[test]
    fn a_flood_is_cut_and_counted() {
        let (mut lines, now) = (LineLimit::new(500), Instant::now());
        let written = (0..2000).filter(|_| shown(lines.line(now)).is_some()).count();
        assert_eq!((written, lines.summary_due()), (500, Some(now + SECOND)));
        assert_eq!(shown(lines.line(now + SECOND)).as_deref(), Some(" suppressed=1500"));
        assert_eq!(shown(lines.line(now + SECOND)).as_deref(), Some(""));
        assert_eq!(lines.summary_due(), None);
    }

    #[test]
    fn a_place_writes_its_lines_and_the_number_of_the_others() {
        let (place, now) = (PlaceLimit::new(2), Instant::now());
        let lines = [now, now, now, now, now + SECOND].map(|now| place.line(now).map(|it| it.to_string()));
        assert_eq!(
            lines.each_ref().map(Option::as_deref),
            [Some(""), Some(""), None, None, Some(" suppressed=2")]
        );
    }

    #[test]
    fn the_first_line_that_is_suppressed_is_marked() {
        let (mut lines, now) = (LineLimit::new(500), Instant::now());
        (0..500).for_each(|_| _ = lines.line(now));
        let suppressed = [(); 3].map(|()| lines.line(now));
        assert_eq!(suppressed, [true, false, false].map(|is_first| LimitedLine::Suppress { is_first }));
    }
}
