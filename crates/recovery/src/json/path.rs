//! Paths into a JSON document, such as `params.subscription`.

use std::fmt;

/// The place of a value in a JSON document: keys and positions from the root, separated by dots.
///
/// `params.0` is the first element of `params` when that is an array, and its key `0` when it is an object.
#[derive(Clone, PartialEq, Eq)]
pub struct Path {
    segments: Box<[Segment]>,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) key: Box<str>,
    /// The position in an array, when the key is a decimal number.
    pub(super) position: Option<usize>,
}

impl Path {
    /// The path that `text` writes; the empty text is the whole document.
    pub fn new(text: &str) -> Self {
        let segments = text.split('.').filter(|_| !text.is_empty());
        let segments = segments.map(|key| Segment { key: key.into(), position: key.parse().ok() });
        Self { segments: segments.collect() }
    }

    pub(super) fn segment(&self, depth: usize) -> Option<&Segment> {
        self.segments.get(depth)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.segments.iter().enumerate() {
            let dot = if index > 0 { "." } else { "" };
            write!(f, "{dot}{}", segment.key)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Path({self})")
    }
}
