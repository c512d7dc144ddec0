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

impl TcpOptions {
    /// All options off.
    pub const OFF: Self = Self { keepalive: None, user_timeout: None };

    /// The shortest time after which an option has an effect; `None` if all are off.
    pub fn shortest(&self) -> Option<Duration> {
        self.keepalive.into_iter().chain(self.user_timeout).min()
    }
}

/// Sets the options, and disables Nagle's algorithm so that small messages are sent at once.
///
/// # Errors
/// When the connection has already ended.
pub fn tune(socket: &impl AsFd, options: &TcpOptions) -> io::Result<()> {
    let socket = SockRef::from(socket);
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
    // The last one, because `has_inherited` takes it for all of them.
    socket.set_tcp_nodelay(true)
}

/// What is known of the options of an accepted connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcceptedOptions {
    /// They are those of its listening socket.
    Inherited,
    /// The kernel may have accepted the connection before its listening socket had them, or not have passed them on.
    Uncertain,
}

impl AcceptedOptions {
    /// What a connection shows of those that follow it. The kernel has accepted it after its listening socket had its
    /// options. Some systems that run programs for Linux pass on none of them, such as gVisor.
    pub fn shown_by(connection: &impl AsFd) -> Self {
        if has_inherited(connection, Self::Uncertain) { Self::Inherited } else { Self::Uncertain }
    }
}

/// Whether an accepted connection has the options of its listening socket from the start. Then they are set once for each
/// listening socket, see [`tune_listening`], and not for each connection.
const ARE_INHERITED: bool = cfg!(target_os = "linux");

/// Sets the options of the connections that a listening socket accepts from now on, where they inherit them. Options that
/// are not configured are switched off: an earlier configuration may have set them, or the process that opened the socket.
///
/// # Errors
/// When the system refuses an option.
pub fn tune_listening(socket: &impl AsFd, options: &TcpOptions) -> io::Result<()> {
    if !ARE_INHERITED {
        return Ok(());
    }
    let listening = SockRef::from(socket);
    if options.keepalive.is_none() {
        listening.set_keepalive(false)?;
    }
    #[cfg(target_os = "linux")]
    if options.user_timeout.is_none() {
        listening.set_tcp_user_timeout(None)?;
    }
    tune(socket, options)
}

/// Whether an accepted connection has the options of [`tune_listening`]. One that the kernel accepted earlier, such as
/// while the process started, has none.
pub(super) fn has_inherited(socket: &impl AsFd, known: AcceptedOptions) -> bool {
    let asks = || SockRef::from(socket).tcp_nodelay().unwrap_or_default();
    ARE_INHERITED && (known == AcceptedOptions::Inherited || asks())
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

    #[cfg(target_os = "linux")]
    #[test]
    fn accepted_connections_have_the_options_of_their_listening_socket() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let has_inherited = |socket: &TcpStream| has_inherited(socket, AcceptedOptions::Uncertain);
        assert!(!has_inherited(&listener.accept().unwrap().0), "it was accepted before");
        let accepted = |options| {
            tune_listening(&listener, &options).unwrap();
            let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            listener.accept().unwrap().0
        };
        let (idle, blocked) = (Duration::from_secs(60), Duration::from_secs(90));
        let socket = accepted(TcpOptions { keepalive: Some(idle), user_timeout: Some(blocked) });
        assert!(has_inherited(&socket));
        let socket = SockRef::from(&socket);
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), idle);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(15));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 4);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(blocked));
        let socket = accepted(TcpOptions { keepalive: None, user_timeout: None });
        let socket = SockRef::from(&socket);
        assert!(socket.tcp_nodelay().unwrap() && !socket.keepalive().unwrap());
        assert_eq!(socket.tcp_user_timeout().unwrap(), None);
    }
}
