//! Paths into a JSON document, such as `params.subscription`.

/// The place of a value in a JSON document: keys and positions from the root, separated by dots.
///
/// `params.0` is the first element of `params` when that is an array, and its key `0` when it is an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    segments: Box<[Segment]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) key: Box<str>,
    /// The position in an array, when the key is a decimal number.
    pub(super) position: Option<usize>,
}

impl Path {
    /// The path that `text` writes; the empty text is the whole document.
    pub(crate) fn new(text: &str) -> Self {
        let segments = text.split('.').filter(|_| !text.is_empty());
        let segments = segments.map(|key| Segment { key: key.into(), position: key.parse().ok() });
        Self { segments: segments.collect() }
    }

    pub(super) fn segment(&self, depth: usize) -> Option<&Segment> {
        self.segments.get(depth)
    }
}
