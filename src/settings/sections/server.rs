//! The section `[server]` of the settings.

use crate::settings::read::Section;

/// The section `[server]`: settings of the whole process.
#[derive(Debug, Clone)]
pub struct Server {
    /// Number of worker threads, at least one. The value 0 in the settings means one per core.
    pub workers: usize,
    /// Maximum number of sessions; `None` for as many as the limit on open files allows.
    pub max_sessions: Option<usize>,
    /// Maximum number of handshakes in progress.
    pub max_handshakes: usize,
    /// Maximum number of bytes of messages that all sessions together may hold.
    pub buffer: usize,
}

/// Reads the section.
pub(crate) fn read(section: &Section<'_>) -> Server {
    let workers = match section.cap("workers") {
        None => std::thread::available_parallelism().map_or(1, usize::from),
        Some(count) => count,
    };
    Server {
        workers,
        max_sessions: section.cap("max_sessions"),
        max_handshakes: section.count("max_handshakes"),
        buffer: section.size("buffer"),
    }
}
