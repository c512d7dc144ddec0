//! What the log can be told.

/// `[log]`
#[derive(Debug, Clone)]
pub struct Config {
    /// A filter such as `info` or `info,towline::session=debug`. `RUST_LOG` wins.
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
