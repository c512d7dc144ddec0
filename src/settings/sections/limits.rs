//! The keys `max_message`, `max_frame` and `buffer` of listeners and upstreams.

use crate::{settings::read::Section, wire::Limits};

/// Reads the keys from a section.
pub(crate) fn read(section: &Section<'_>) -> Limits {
    let limits = Limits {
        max_message: section.size("max_message"),
        max_frame: section.size("max_frame"),
        buffer: section.size("buffer"),
    };
    if limits.max_frame > limits.max_message {
        let explicit = if section.said("max_frame").is_some() { "max_frame" } else { "max_message" };
        let text = "a frame may not be longer than a message: max_frame is at most max_message";
        section.conflict(explicit, &["max_frame", "max_message"], text);
    }
    limits
}
