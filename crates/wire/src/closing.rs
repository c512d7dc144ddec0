//! What a socket needs before it is closed.

use tokio::io::DuplexStream;

/// A socket that a link closes.
pub trait Closing {
    /// Whether the peer expects a message at the end of the stream, as `close_notify` of TLS. Otherwise, closing the
    /// socket tells the peer as much as shutting it down first.
    fn announces_end(&self) -> bool;
}

/// A connection within a process, as tests have it.
impl Closing for DuplexStream {
    fn announces_end(&self) -> bool {
        false
    }
}
