//! How many sessions the process can hold: descriptors are what runs out first.

/// Descriptors that are no session's: of listeners and threads, of handshakes under way.
const RESERVED: u64 = 128;

/// A session has its client's socket and its upstream's.
const PER_SESSION: u64 = 2;

/// What most systems allow, where the system does not say.
const OPEN_FILES: u64 = 1024;

/// Raises the limit on open files as far as it may be, and tells for how many sessions there is room:
/// `max_sessions`, or as many as that limit allows.
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

/// The sessions for which so many descriptors are enough. Where there are few, half of them are reserved.
fn room(open_files: u64) -> usize {
    let free = open_files - RESERVED.min(open_files / 2);
    usize::try_from(free / PER_SESSION).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_session_takes_two_descriptors() {
        let table = [(0, 0), (64, 16), (256, 64), (1024, 448), (4096, 1984), (20_000, 9936)];
        for (open_files, sessions) in table {
            assert_eq!(room(open_files), sessions, "{open_files}");
        }
    }
}
