//! How many sessions the process can hold: file descriptors run out first.

/// Descriptors that are not available to sessions: those of listeners, threads, handshakes in progress, and connections
/// in the queues of the workers. With many workers or listeners these queues can hold more (`ACCEPT_QUEUE_MAX` each); then
/// accepting pauses until there are descriptors again.
const RESERVED: u64 = 128;

/// Descriptors of a session: its client's socket and its upstream's.
const PER_SESSION: u64 = 2;

/// The usual default limit, for systems that report none.
const OPEN_FILES: u64 = 1024;

/// Raises the limit on open files as far as the system permits. Gives the maximum number of sessions:
/// `max_sessions`, or as many as the limit on open files allows.
pub fn capacity(max_sessions: Option<usize>) -> usize {
    let open_files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(OPEN_FILES);
    let room = room(open_files);
    let sessions = max_sessions.unwrap_or(room);
    log::info!("limits sessions={sessions} open_files={open_files}");
    if sessions > room {
        log::warn!("the limit on open files is too low for max_sessions: enough for sessions={room}");
    }
    sessions
}

/// The number of sessions that fit into a limit on open files. With a low limit, half of it is reserved.
fn room(open_files: u64) -> usize {
    let free = open_files - RESERVED.min(open_files / 2);
    usize::try_from(free / PER_SESSION).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_session_uses_two_descriptors() {
        let table = [(0, 0), (64, 16), (256, 64), (1024, 448), (4096, 1984), (20_000, 9936)];
        for (open_files, sessions) in table {
            assert_eq!(room(open_files), sessions, "{open_files}");
        }
    }
}
