//! The key `slow_consumer` of listeners, and how it fits the time limits of listeners and upstreams.

use std::fmt;

use crate::{net::TcpOptions, settings::read::Section, wire::LivenessConfig};

/// What happens to a client that reads nothing for `slow_consumer_timeout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlowConsumer {
    /// The client is closed with 1013.
    Disconnect,
    /// The client stays connected, and the oldest pushes are dropped.
    DropOldest,
    /// The client stays connected, and the newest pushes are dropped.
    DropNewest,
}

/// Reads the key from a listener's section.
pub(crate) fn read(section: &Section<'_>) -> SlowConsumer {
    match section.choice("slow_consumer").as_deref() {
        Some("drop_oldest") => SlowConsumer::DropOldest,
        Some("drop_newest") => SlowConsumer::DropNewest,
        _ => SlowConsumer::Disconnect,
    }
}

/// Checks that the kernel does not end a connection before the slow-consumer policy takes effect.
pub(crate) fn check(
    section: &Section<'_>,
    liveness: &LivenessConfig,
    policy: SlowConsumer,
    tcp: &TcpOptions,
) {
    if policy != SlowConsumer::Disconnect && liveness.slow_consumer_timeout.is_none() {
        let text = format!("with \"never\", slow_consumer = \"{policy}\" would never drop a message");
        section.conflict("slow_consumer_timeout", &["slow_consumer"], text);
    }
    let Some(kernel) = tcp.user_timeout else { return };
    if policy != SlowConsumer::Disconnect {
        let text = format!(
            "must be \"never\" with slow_consumer = \"{policy}\": the kernel would end a client that does not read"
        );
        section.conflict("tcp_user_timeout", &["slow_consumer"], text);
    } else if let Some(slow) = liveness.slow_consumer_timeout
        && kernel < slow
    {
        let slow = humantime::format_duration(slow);
        let text = format!("is below slow_consumer_timeout, which is {slow}");
        section.conflict("tcp_user_timeout", &["slow_consumer", "slow_consumer_timeout"], text);
    }
}

// === impl SlowConsumer ===

impl fmt::Display for SlowConsumer {
    /// Writes the name in the settings, such as `drop_oldest`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disconnect => "disconnect",
            Self::DropOldest => "drop_oldest",
            Self::DropNewest => "drop_newest",
        })
    }
}
