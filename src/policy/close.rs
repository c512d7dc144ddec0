//! The closes and refusals of an upstream that are passed on to the client (`on_upstream_close`,
//! `on_refused`).

use std::fmt;

/// Close codes or HTTP statuses from `first` to `last`, inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    first: u16,
    last: u16,
}

/// What happens for a code that is not listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Otherwise {
    /// The code counts as a lost connection. `on_upstream_loss` determines what happens to the client.
    Reconnect,
    /// The code is passed on to the client like a listed one.
    Pass,
}

/// `{ pass = [...], else = ... }`: which codes are passed on to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnEnd {
    /// Codes that are always passed on.
    pub pass: Vec<Range>,
    /// What happens for all other codes.
    pub otherwise: Otherwise,
}

impl OnEnd {
    /// Whether a code is passed on to the client.
    pub fn passes(&self, code: u16) -> bool {
        self.otherwise == Otherwise::Pass || self.pass.iter().any(|range| range.contains(code))
    }
}

impl Range {
    /// The range from `first` to `last`; `None` when `first` is greater than `last`.
    pub fn new(first: u16, last: u16) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }

    /// Parses `4000-4999` or `1008`; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let number = |text: &str| {
            let digits = text.trim();
            digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
        };
        Self::new(number(first)?, number(last)?)
    }

    /// Whether the range contains the code.
    pub fn contains(self, code: u16) -> bool {
        (self.first..=self.last).contains(&code)
    }

    /// The first and the last code.
    pub fn ends(self) -> [u16; 2] {
        [self.first, self.last]
    }
}

impl fmt::Display for Range {
    /// Writes the range in the form of the settings: `4000-4999` or `1008`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => self.first.fmt(f),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_are_parsed() {
        for text in ["1008", "4000-4999", "401-401"] {
            let range = Range::parse(text).unwrap();
            assert_eq!(Range::parse(&range.to_string()), Some(range), "{text}");
        }
        for text in ["", "-", "4999-4000", "4000-", "-1008", "+1008", "1-2-3", "99999", "1000..1003", "x"] {
            assert_eq!(Range::parse(text), None, "{text}");
        }
    }

    #[test]
    fn unlisted_codes_follow_else() {
        let pass = vec![Range::parse("4000-4999").unwrap(), Range::parse("1008").unwrap()];
        let listed = OnEnd { pass: pass.clone(), otherwise: Otherwise::Reconnect };
        for (code, expected) in [(1000, false), (1007, false), (1008, true), (3999, false), (4000, true)] {
            assert_eq!(listed.passes(code), expected, "{code}");
        }
        assert!(OnEnd { pass, otherwise: Otherwise::Pass }.passes(1011));
    }

    proptest! {
        #[test]
        fn a_printed_range_parses_to_the_same_range(first: u16, last: u16, code: u16) {
            let Some(range) = Range::new(first, last) else { return Ok(()) };
            prop_assert_eq!(Range::parse(&range.to_string()), Some(range));
            prop_assert_eq!(range.contains(code), first <= code && code <= last);
        }
    }
}
