//! The keys `tcp_keepalive` and `tcp_user_timeout` of listeners and upstreams.

use crate::{net::TcpOptions, settings::read::Section};

/// Reads the keys from a section.
pub(crate) fn read(section: &Section<'_>) -> TcpOptions {
    TcpOptions {
        keepalive: section.timeout("tcp_keepalive"),
        user_timeout: section.timeout("tcp_user_timeout"),
    }
}
