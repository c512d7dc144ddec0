//! Listening sockets that the process has got from its parent: from systemd, or from the process that it replaces.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{Mutex, MutexGuard, PoisonError},
};

use listenfd::ListenFd;

/// The sockets that nothing uses yet. A process gets its descriptors once, so there is one list.
static SOCKETS: Mutex<Vec<TcpListener>> = Mutex::new(Vec::new());

/// Takes the sockets that `LISTEN_FDS` counts. Call it once, before the process has other threads, because it removes
/// the variables from the environment.
///
/// # Errors
/// When one of the descriptors is not a TCP socket.
pub fn inherit() -> io::Result<()> {
    let mut passed = ListenFd::from_env();
    for at in 0..passed.len() {
        let taken = passed.take_tcp_listener(at);
        let taken = taken.map_err(|error| io::Error::new(error.kind(), format!("LISTEN_FDS: {error}")))?;
        sockets().extend(taken);
    }
    Ok(())
}

/// The inherited socket with this address, if nothing uses it yet.
pub(super) fn take(address: SocketAddr) -> Option<TcpListener> {
    let mut sockets = sockets();
    let has_it = |socket: &TcpListener| socket.local_addr().is_ok_and(|own| own == address);
    sockets.iter().position(has_it).map(|at| sockets.swap_remove(at))
}

/// Closes the sockets that nothing uses. Returns their addresses.
pub fn close_unused() -> Vec<SocketAddr> {
    sockets().drain(..).filter_map(|socket| socket.local_addr().ok()).collect()
}

fn sockets() -> MutexGuard<'static, Vec<TcpListener>> {
    SOCKETS.lock().unwrap_or_else(PoisonError::into_inner)
}
