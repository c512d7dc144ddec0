//! The table `restart` of an upstream.

use std::time::Duration;

use crate::settings::read::Section;

/// The key `restart` of an upstream, a table (guarantee C7).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Restart {
    /// Minimum delay before a restart.
    pub min: Duration,
    /// Maximum delay before a restart.
    pub max: Duration,
    /// Maximum number of restarts within `window`. Beyond it, the connector is given up.
    pub max_restarts: usize,
    /// The time window in which restarts are counted.
    pub window: Duration,
    /// Interval between attempts to connect after the connector is given up.
    pub probe: Duration,
    /// Maximum number of reconnects per second to this upstream, for all sessions together.
    pub rate: u32,
}

/// Reads the table.
pub(crate) fn read(section: &Section<'_>) -> Restart {
    let restart = Restart {
        min: section.duration("restart.min"),
        max: section.duration("restart.max"),
        max_restarts: section.count("restart.max_restarts"),
        window: section.duration("restart.window"),
        probe: section.duration("restart.probe"),
        rate: section.count("restart.rate"),
    };
    if restart.min > restart.max {
        let max = humantime::format_duration(restart.max);
        let text = format!("is above restart.max, which is {max}");
        section.conflict("restart.min", &["restart.max"], text);
    }
    restart
}
