//! The time of day.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time since 1970; zero before that.
pub fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The time in seconds since 1970, as in the claims of tokens and in certificates.
pub fn seconds() -> u64 {
    since_1970().as_secs()
}
