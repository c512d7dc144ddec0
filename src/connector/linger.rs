//! The end of a connection to an upstream, after our close frame.
//!
//! The server ends the TCP connection first (RFC 6455 section 7.1.1). Who ends it first keeps its port for a minute
//! (TIME_WAIT), and a proxy that did so for each session would run out of ports to one address. So the connection
//! waits for the server's end, without an actor and without budgets of its session.

use std::{
    cell::Cell,
    future::poll_fn,
    num::NonZero,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    task::Poll,
    thread,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::sleep,
};

use crate::{deadline::Deadline, wire::Link};

/// Connections of one worker thread that may wait for their servers. Beyond that they are ended at once.
const LINGERING_MAX: usize = 256;

/// And at most this part of the descriptors that the process may have open, on all worker threads together.
const DESCRIPTORS_PART: usize = 16;

/// A look at the connections that are left, at the end of the process.
const LOOK: Duration = Duration::from_millis(5);

/// Connections to upstreams in the process, lingering ones included.
static OPEN: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static FREE: Cell<usize> = Cell::new(places());
}

/// Counts a connection until it is dropped.
#[derive(Debug)]
pub(super) struct Open(());

/// A place among the lingering connections of the thread.
struct Place(());

/// Waits until no connection to an upstream is left in the process.
pub async fn all_closed() {
    while OPEN.load(SeqCst) > 0 {
        sleep(LOOK).await;
    }
}

/// Writes what is queued, and waits for the server's end of the connection, `limit` at most.
pub(super) fn linger<S, T>(mut link: Box<Link<S, T>>, open: Option<Open>, limit: Duration)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    T: 'static,
{
    let Some(place) = Place::take() else { return };
    link.stop_reading();
    let mut deadline = Deadline::new();
    deadline.set(limit);
    actix_rt::spawn(async move {
        let _held = (place, open);
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

fn places() -> usize {
    let open_files = rlimit::Resource::NOFILE.get_soft().unwrap_or_default();
    let open_files = usize::try_from(open_files).unwrap_or(usize::MAX);
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    LINGERING_MAX.min(open_files / DESCRIPTORS_PART / threads)
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

// === impl Place ===

impl Place {
    fn take() -> Option<Self> {
        let free = FREE.get().checked_sub(1)?;
        FREE.set(free);
        Some(Self(()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // At the end of a thread the count may be gone before its tasks.
        let _ = FREE.try_with(|free| free.set(free.get() + 1));
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;
    use crate::wire::{CloseFrame, Limits, LivenessConfig, Role};

    const LIMITS: Limits = Limits { max_message: 1 << 20, max_frame: 1 << 20, buffer: 0 };

    /// A connection that lingers behind its close frame, and the server's side of it.
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
        let places = FREE.get();
        let mut server = lingering(Duration::from_secs(60));
        close_frame(&mut server).await;
        // more than it holds, so that all of it is read
        server.write_all(&[7; 10_000]).await.unwrap();
        assert_eq!(FREE.get(), places - 1);
        server.shutdown().await.unwrap();
        let mut rest = Vec::new();
        server.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty(), "nothing but the end follows our close frame");
        assert_eq!(FREE.get(), places, "its place is free");
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
    async fn beyond_the_bound_connections_end_at_once() {
        let servers: Vec<_> = (0..FREE.get()).map(|_| lingering(Duration::from_secs(60))).collect();
        let mut server = lingering(Duration::from_secs(60));
        let mut rest = Vec::new();
        server.read_to_end(&mut rest).await.unwrap();
        drop(servers);
        while FREE.get() < places() {
            tokio::task::yield_now().await;
        }
    }
}
