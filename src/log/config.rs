//! Settings of the log.

/// The section `[log]` of the settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// A [`Filter`](super::Filter) such as `info` or `info,towline::session=debug`; `RUST_LOG` takes
    /// precedence.
    pub level: String,
    /// The format of a line.
    pub format: Format,
}

/// The format of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Time, level, target, message, then `key=value` pairs.
    Text,
    /// One JSON object per line.
    Json,
}

// === impl Format ===

impl Format {
    /// The name in the settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}
