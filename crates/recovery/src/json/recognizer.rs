//! Recognises messages without a journal.

use super::{
    PatternError,
    pattern::{Compiled, Needs, Paths, Pattern},
};

/// Patterns of which only `when` counts.
#[derive(Debug)]
pub struct Recognizer {
    paths: Paths,
    patterns: Box<[Compiled]>,
}

impl Recognizer {
    /// Compiles the patterns.
    ///
    /// # Errors
    /// When a pattern has no `when`, or they have too many different paths.
    pub fn new(patterns: &[Pattern]) -> Result<Self, PatternError> {
        patterns.iter().try_for_each(|pattern| pattern.check("message", Needs::Nothing))?;
        let mut paths = Paths::default();
        let patterns = paths.compile(patterns)?;
        Ok(Self { paths, patterns })
    }

    /// The position of the first pattern that the message fits; `None` if it fits none or is malformed JSON.
    pub fn position(&self, text: &[u8]) -> Option<usize> {
        self.paths.scan(text)?.position(&self.patterns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Test;

    #[test]
    fn the_first_pattern_that_holds_counts() {
        let bye = Pattern::when("type", Test::is("bye"));
        let any = Pattern::when("meta.type", Test::Present);
        let recognizer = Recognizer::new(&[bye.clone(), any, bye]).unwrap();
        assert_eq!(recognizer.position(br#"{"type":"bye","meta":{"type":1}}"#), Some(0));
        assert_eq!(recognizer.position(br#"{"type":"by","meta":{"type":1}}"#), Some(1));
        for text in ["{}", "bye", "", r#"{"type":"bye"} x"#, r#"["type","bye"]"#] {
            assert_eq!(recognizer.position(text.as_bytes()), None, "{text}");
        }
        assert!(Recognizer::new(&[Pattern::default()]).is_err());
    }
}
