//! Whether a socket may have something to read, without a look at the socket.
//!
//! An actor is woken by its socket and by messages of other actors, and the task does not say by which. So the socket gets
//! a separate waker, which records that it was used before it wakes the actor.

use std::{
    sync::{
        Arc,
        atomic::{
            AtomicU8,
            Ordering::{AcqRel, Acquire, Relaxed, Release},
        },
    },
    task::{Context, Poll, Wake, Waker},
};

/// The socket may have something to read.
const UNKNOWN: u8 = 0;
/// The socket had nothing to read, and has not used its waker since.
const AWAITED: u8 = 1;
/// The socket has used its waker.
const WOKEN: u8 = 2;

/// Whether a socket has nothing to read and will wake its owner.
#[derive(Debug, Default)]
pub(super) struct Arrival {
    /// What the socket's waker leads to, and the waker; `None` before the first poll.
    signal: Option<(Arc<Signal>, Waker)>,
}

#[derive(Debug)]
struct Signal {
    owner: Waker,
    state: AtomicU8,
}

impl Arrival {
    /// Polls the socket for the owner of `cx`, with the socket's waker.
    pub(super) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        if !self.signal.as_ref().is_some_and(|(signal, _)| signal.owner.will_wake(cx.waker())) {
            self.signal = Some(Signal::new(cx.waker()));
        }
        let Some((signal, waker)) = &self.signal else { return poll(cx) };
        // What arrives from now on is either read by this poll, or uses the waker.
        signal.state.store(UNKNOWN, Release);
        let polled = poll(&mut Context::from_waker(waker));
        if polled.is_pending() {
            // This fails if the waker has been used meanwhile.
            let _ = signal.state.compare_exchange(UNKNOWN, AWAITED, AcqRel, Relaxed);
        }
        polled
    }

    /// Whether the socket still has nothing to read, and will wake the owner that polled it last.
    pub(super) fn is_awaited(&self) -> bool {
        self.signal.as_ref().is_some_and(|(signal, _)| signal.state.load(Acquire) == AWAITED)
    }

    /// Forgets the last poll, because the socket gets another waker.
    pub(super) fn forget(&mut self) {
        self.signal = None;
    }
}

impl Signal {
    fn new(owner: &Waker) -> (Arc<Self>, Waker) {
        let signal = Arc::new(Self { owner: owner.clone(), state: AtomicU8::new(UNKNOWN) });
        (Arc::clone(&signal), signal.into())
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.state.store(WOKEN, Release);
        self.owner.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    #[derive(Default)]
    struct CountingWaker(AtomicUsize);

    impl Wake for CountingWaker {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    fn counting() -> (Arc<CountingWaker>, Waker) {
        let counting = Arc::new(CountingWaker::default());
        (Arc::clone(&counting), counting.into())
    }

    /// Polls a socket without data, as `owner`. Returns the waker that the socket keeps.
    fn poll_empty(arrival: &mut Arrival, owner: &Waker) -> Waker {
        let mut kept = None;
        let polled: Poll<()> = arrival.poll(&mut Context::from_waker(owner), |cx| {
            kept = Some(cx.waker().clone());
            Poll::Pending
        });
        assert!(polled.is_pending());
        kept.unwrap()
    }

    #[test]
    fn data_is_awaited_until_the_socket_wakes_its_owner() {
        let (wakes, owner) = counting();
        let mut arrival = Arrival::default();
        assert!(!arrival.is_awaited(), "the socket was not polled yet");
        let socket = poll_empty(&mut arrival, &owner);
        assert!(arrival.is_awaited());
        socket.wake_by_ref();
        assert_eq!(wakes.0.load(SeqCst), 1, "the owner is woken too");
        assert!(!arrival.is_awaited());
        assert!(arrival.poll(&mut Context::from_waker(&owner), |_| Poll::Ready(())).is_ready());
        assert!(!arrival.is_awaited(), "there may be more to read");
        poll_empty(&mut arrival, &owner);
        assert!(arrival.is_awaited());
    }

    #[test]
    fn a_socket_that_wakes_its_owner_during_the_poll_is_polled_again() {
        let (_, owner) = counting();
        let mut arrival = Arrival::default();
        let polled: Poll<()> = arrival.poll(&mut Context::from_waker(&owner), |cx| {
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        assert!(polled.is_pending() && !arrival.is_awaited());
    }

    #[test]
    fn the_owner_that_polled_last_is_woken() {
        let ((first_wakes, first), (second_wakes, second)) = (counting(), counting());
        let mut arrival = Arrival::default();
        poll_empty(&mut arrival, &first);
        poll_empty(&mut arrival, &second).wake();
        assert_eq!([first_wakes, second_wakes].map(|wakes| wakes.0.load(SeqCst)), [0, 1]);
        assert!(!arrival.is_awaited());
        poll_empty(&mut arrival, &second);
        arrival.forget();
        assert!(!arrival.is_awaited(), "the socket was polled with another waker");
    }
}
