//! Options of TCP sockets, for both sides of the proxy.

use std::{io, os::fd::AsFd, time::Duration};

use socket2::{SockRef, TcpKeepalive};

/// Number of unanswered keepalive probes after which the kernel ends a connection.
const PROBES: u32 = 4;

/// Options of TCP sockets; `None` switches an option off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpOptions {
    /// How long a connection has no traffic before the kernel starts to probe it.
    pub keepalive: Option<Duration>,
    /// How long a peer acknowledges nothing before the kernel ends the connection.
    pub user_timeout: Option<Duration>,
}

/// Sets the options, and disables Nagle's algorithm so that small messages are sent at once.
///
/// # Errors
/// When the connection has already ended.
pub fn tune(socket: &impl AsFd, options: &TcpOptions) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_tcp_nodelay(true)?;
    if let Some(idle) = options.keepalive {
        let (interval, retries) = probing(idle);
        let keepalive = TcpKeepalive::new().with_time(idle).with_interval(interval).with_retries(retries);
        socket.set_tcp_keepalive(&keepalive)?;
    }
    // Other systems lack this option; there, the liveness checks find such peers.
    #[cfg(target_os = "linux")]
    if options.user_timeout.is_some() {
        socket.set_tcp_user_timeout(options.user_timeout)?;
    }
    Ok(())
}

/// The interval and the number of keepalive probes. Together the probes take as long as the idle time before
/// the first, in whole seconds, so that a dead peer is found after twice the idle time.
fn probing(idle: Duration) -> (Duration, u32) {
    let seconds = u32::try_from(idle.as_secs()).unwrap_or(u32::MAX).max(1);
    let probes = seconds.min(PROBES);
    (Duration::from_secs((seconds / probes).into()), probes)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_dead_peer_is_found_after_twice_the_idle_time() {
        for seconds in [1, 2, 3, 4, 5, 7, 8, 59, 60, 3600, 86_400] {
            let idle = Duration::from_secs(seconds);
            let (interval, probes) = probing(idle);
            let found = idle + interval * probes;
            assert!(found <= 2 * idle && found + Duration::from_secs(PROBES.into()) > 2 * idle, "{idle:?}");
            assert!(interval >= Duration::from_secs(1) && (1..=PROBES).contains(&probes));
        }
    }

    #[test]
    fn a_socket_has_the_configured_options() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let options = TcpOptions { keepalive: None, user_timeout: None };
        tune(&socket, &options).unwrap();
        assert!(socket.nodelay().unwrap() && !SockRef::from(&socket).keepalive().unwrap());
        let (idle, blocked) = (Duration::from_secs(60), Duration::from_secs(90));
        tune(&socket, &TcpOptions { keepalive: Some(idle), user_timeout: Some(blocked) }).unwrap();
        let socket = SockRef::from(&socket);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), idle);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(15));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 4);
        #[cfg(target_os = "linux")]
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(blocked));
    }
}
