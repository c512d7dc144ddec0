//! The end of a connection to an upstream, after the proxy's close frame.
//!
//! The server should end the TCP connection first (RFC 6455 section 7.1.1). The side that ends it keeps the
//! port for a minute (TIME_WAIT), and a proxy that always did would run out of ports to a server. So the
//! socket stays open until the server ends the connection, for a limited time. In that time it needs no actor
//! and no budget.

use std::{
    cell::Cell,
    future::poll_fn,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    task::Poll,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::sleep,
};

use crate::{
    deadline::Deadline,
    settings::Upstream,
    upstream::Dialed,
    wire::{CloseFrame, Closing, Link, LivenessConfig, Role},
};

/// Maximum number of lingering sockets of one worker thread, because each holds a file descriptor. Any
/// further socket is closed at once.
const LINGERING_MAX: usize = 256;

/// The lingering sockets of all threads together use at most one in this many of the process's file
/// descriptors.
const DESCRIPTORS_PART: usize = 16;

/// The interval at which [`all_closed`] checks the number of open connections.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Number of connections to upstreams in the process, including lingering ones.
static OPEN: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Number of sockets of this thread that may still start to linger.
    static FREE: Cell<usize> = Cell::new(slots(1));
}

/// A guard that counts a connection until it is dropped.
#[derive(Debug)]
pub(super) struct Open(());

/// A slot for a lingering socket of the thread. It is returned when dropped.
struct LingerSlot(());

/// Waits until no connection to an upstream is left in the process.
pub async fn all_closed() {
    while OPEN.load(SeqCst) > 0 {
        sleep(POLL_INTERVAL).await;
    }
}

/// Writes the queued frames, then waits until the server ends the connection, but at most for `limit`. Closes
/// the socket at once when no slot is free.
pub(super) fn linger<S, T>(mut link: Box<Link<S, T>>, open: Option<Open>, limit: Duration)
where
    S: AsyncRead + AsyncWrite + Closing + Unpin + 'static,
    T: 'static,
{
    let Some(slot) = LingerSlot::take() else { return };
    link.stop_reading();
    let mut deadline = Deadline::new();
    deadline.set(limit);
    actix_rt::spawn(async move {
        let _held = (slot, open);
        poll_fn(|task| {
            if deadline.has_passed() {
                return Poll::Ready(());
            }
            deadline.arm(task.waker());
            link.poll_end(task)
        })
        .await;
    });
}

/// Closes a connection that no connector serves, because the session that it was dialed for does not need it.
pub fn dismiss(dialed: Dialed, upstream: &Upstream) {
    let (limits, liveness) = (upstream.limits, &LivenessConfig::OFF);
    let mut link: Link<_, ()> = Link::new(dialed.socket, Role::Client, limits, liveness, dialed.rest);
    link.close(Some(&CloseFrame::new(1001, "")));
    linger(Box::new(link), Some(Open::new()), upstream.close_timeout);
}

/// Gives this thread its share of the lingering sockets, in a process with `threads` worker threads. Call it before the
/// thread's first connection.
pub fn share_lingering(threads: usize) {
    FREE.set(slots(threads));
}

/// Number of sockets of one of `threads` threads that may linger.
fn slots(threads: usize) -> usize {
    let open_files = rlimit::Resource::NOFILE.get_soft().unwrap_or_default();
    part_of(usize::try_from(open_files).unwrap_or(usize::MAX), threads)
}

/// The share of one of `threads` threads in the lingering sockets of a process with this limit on open files.
fn part_of(open_files: usize, threads: usize) -> usize {
    LINGERING_MAX.min(open_files / DESCRIPTORS_PART / threads.max(1))
}

// === impl Open ===

impl Open {
    pub(super) fn new() -> Self {
        OPEN.fetch_add(1, SeqCst);
        Self(())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, SeqCst);
    }
}

// === impl LingerSlot ===

impl LingerSlot {
    fn take() -> Option<Self> {
        let free = FREE.get().checked_sub(1)?;
        FREE.set(free);
        Some(Self(()))
    }
}

impl Drop for LingerSlot {
    fn drop(&mut self) {
        // When a thread ends, the count may be dropped before the thread's tasks.
        let _ = FREE.try_with(|free| free.set(free.get() + 1));
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;
    use crate::server::Workers;
    use crate::wire::Limits;

    const LIMITS: Limits = Limits { max_message: 1 << 20, max_frame: 1 << 20, buffer: 0 };

    /// The server's side of a connection that lingers after a close frame.
    fn lingering(limit: Duration) -> DuplexStream {
        let (ours, theirs) = duplex(1024);
        let mut link: Link<_, ()> = Link::new(ours, Role::Client, LIMITS, &LivenessConfig::OFF, Bytes::new());
        link.close(Some(&CloseFrame::new(1000, "")));
        linger(Box::new(link), None, limit);
        theirs
    }

    /// Reads the masked close frame of 8 bytes.
    async fn close_frame(server: &mut DuplexStream) {
        let mut frame = [0; 8];
        server.read_exact(&mut frame).await.unwrap();
        assert_eq!(frame[0], 0x88);
    }

    #[actix::test]
    async fn the_server_ends_the_connection_first() {
        let slots = FREE.get();
        let mut server = lingering(Duration::from_secs(60));
        close_frame(&mut server).await;
        // More than the duplex buffer holds, so that the write ends only when the bytes are read.
        server.write_all(&[7; 10_000]).await.unwrap();
        assert_eq!(FREE.get(), slots - 1);
        server.shutdown().await.unwrap();
        let mut rest = Vec::new();
        server.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty(), "nothing but the end follows our close frame");
        assert_eq!(FREE.get(), slots, "its slot is free");
    }

    #[actix::test]
    async fn a_server_that_does_not_end_the_connection_is_cut_off() {
        let start = std::time::Instant::now();
        let mut server = lingering(Duration::from_millis(100));
        close_frame(&mut server).await;
        while server.write_all(&[7; 100]).await.is_ok() {}
        assert!(start.elapsed() >= Duration::from_millis(100));
    }

    #[actix::test]
    async fn without_a_free_slot_connections_end_at_once() {
        let servers: Vec<_> = (0..FREE.get()).map(|_| lingering(Duration::from_secs(60))).collect();
        let mut server = lingering(Duration::from_secs(60));
        let mut rest = Vec::new();
        server.read_to_end(&mut rest).await.unwrap();
        drop(servers);
        while FREE.get() < slots(1) {
            tokio::task::yield_now().await;
        }
    }

    #[actix::test]
    async fn worker_threads_share_the_descriptors() {
        assert_eq!(
            [(1024, 1), (1024, 8), (1024, 100), (1 << 20, 8)].map(|(files, threads)| part_of(files, threads)),
            [64, 8, 0, 256]
        );
        let workers = Workers::start(8).unwrap();
        let (report, mut reported) = tokio::sync::mpsc::unbounded_channel();
        workers.run_each([move || report.send(FREE.get()).unwrap()]);
        assert_eq!(reported.recv().await, Some(slots(8)));
    }
}
