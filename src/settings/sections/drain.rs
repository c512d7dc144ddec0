//! The section `[drain]` of the settings.

use std::time::Duration;

use crate::settings::read::Section;

/// The section `[drain]`: the orderly end of the process (guarantee C9).
#[derive(Debug, Clone)]
pub struct Drain {
    /// Each session starts to drain at a random moment within this duration.
    pub window: Duration,
    /// How long the unsettled events of a session may take to settle after its drain has started.
    pub grace: Duration,
    /// The close code that clients get: 1001 or 1012.
    pub close_code: u16,
}

/// Reads the section.
pub(crate) fn read(section: &Section<'_>) -> Drain {
    Drain {
        window: section.duration("window"),
        grace: section.duration("grace"),
        close_code: section.count("close_code"),
    }
}
