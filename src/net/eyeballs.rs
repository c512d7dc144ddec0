//! Connects to the first address that answers (Happy Eyeballs, RFC 8305).

use std::{
    collections::VecDeque,
    future::{Future, pending, poll_fn},
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::sleep_until,
};

use super::race::{Race, RaceStep};

/// Maximum number of concurrent attempts of one dial, because each has a socket.
const ATTEMPTS_MAX: usize = 4;

/// Maximum number of sockets of all dials together, not counting the first of each dial. A session has a file
/// descriptor reserved for its upstream; these sockets are in addition to it.
pub(super) const EXTRA_MAX: usize = 64;

/// Connects to the first of `addresses` that answers, and drops the other attempts. `connect` makes one
/// attempt.
///
/// When an attempt is due and the limit on concurrent attempts is reached, the attempt replaces the oldest one.
///
/// # Errors
/// When all attempts have failed. The error is the most informative one.
pub(super) async fn first<T, F: Future<Output = io::Result<T>>>(
    addresses: impl IntoIterator<Item = SocketAddr>,
    extra: &Semaphore,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<T> {
    let mut race = Race::new(addresses);
    let mut attempts = Attempts { running: VecDeque::new(), extra, permits: Vec::new() };
    loop {
        match race.turn(Instant::now()) {
            RaceStep::Begin(address) => {
                if attempts.make_room().is_some() {
                    race.dropped();
                }
                attempts.running.push_back(Box::pin(connect(address)));
            }
            RaceStep::Lost(error) => return Err(error),
            RaceStep::Wait(until) => {
                let due = async {
                    match until {
                        Some(until) => sleep_until(until.into()).await,
                        None => pending().await,
                    }
                };
                tokio::select! {
                    biased;
                    ended = poll_fn(|task| attempts.poll(task)) => match ended {
                        Ok(connection) => return Ok(connection),
                        Err(error) => race.failed(error),
                    },
                    () = due => {}
                }
            }
        }
    }
}

/// The running attempts, oldest first.
struct Attempts<'a, F> {
    running: VecDeque<Pin<Box<F>>>,
    extra: &'a Semaphore,
    /// A permit for each attempt beyond the first.
    permits: Vec<SemaphorePermit<'a>>,
}

impl<T, F: Future<Output = io::Result<T>>> Attempts<'_, F> {
    /// Reserves a slot for another attempt. If none is free, returns the oldest attempt, which must be
    /// dropped.
    fn make_room(&mut self) -> Option<Pin<Box<F>>> {
        // The first attempt needs no permit.
        if self.running.len() <= self.permits.len() {
            return None;
        }
        let permit = if self.running.len() < ATTEMPTS_MAX { self.extra.try_acquire().ok() } else { None };
        match permit {
            Some(permit) => {
                self.permits.push(permit);
                None
            }
            None => self.running.pop_front(),
        }
    }

    /// Waits for the first attempt that ends.
    fn poll(&mut self, task: &mut Context<'_>) -> Poll<io::Result<T>> {
        for at in 0..self.running.len() {
            if let Poll::Ready(ended) = self.running[at].as_mut().poll(task) {
                self.running.remove(at);
                return Poll::Ready(ended);
            }
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, future::ready, net::IpAddr, rc::Rc, time::Duration};

    use super::*;

    /// The reaction of an address to a connection attempt.
    #[derive(Clone, Copy)]
    enum Reaction {
        Answers,
        Refuses,
        /// The address never answers.
        Silent,
    }

    /// An attempt without an answer. Its drop records the address.
    struct Held(IpAddr, Rc<RefCell<Vec<IpAddr>>>);

    impl Drop for Held {
        fn drop(&mut self) {
            self.1.borrow_mut().push(self.0);
        }
    }

    struct Network {
        reactions: Vec<(SocketAddr, Reaction)>,
        begun: RefCell<Vec<IpAddr>>,
        dropped: Rc<RefCell<Vec<IpAddr>>>,
    }

    impl Network {
        fn new(reactions: &[(&str, Reaction)]) -> Self {
            let address = |text: &str| SocketAddr::new(text.parse().unwrap(), 80);
            let reactions = reactions.iter().map(|(text, reaction)| (address(text), *reaction)).collect();
            Self { reactions, begun: RefCell::default(), dropped: Rc::default() }
        }

        async fn dial(&self, extra: &Semaphore) -> io::Result<IpAddr> {
            let addresses: Vec<_> = self.reactions.iter().map(|(address, _)| *address).collect();
            first(addresses, extra, |address| self.attempt(address)).await
        }

        async fn attempt(&self, address: SocketAddr) -> io::Result<IpAddr> {
            self.begun.borrow_mut().push(address.ip());
            match self.reactions.iter().find(|(known, _)| *known == address).unwrap().1 {
                Reaction::Answers => Ok(address.ip()),
                Reaction::Refuses => ready(Err(io::ErrorKind::ConnectionRefused.into())).await,
                Reaction::Silent => {
                    let _held = Held(address.ip(), Rc::clone(&self.dropped));
                    pending().await
                }
            }
        }

        fn begun(&self) -> Vec<String> {
            self.begun.borrow().iter().map(ToString::to_string).collect()
        }
    }

    fn extra() -> Semaphore {
        Semaphore::new(EXTRA_MAX)
    }

    #[actix::test]
    async fn an_address_without_answer_does_not_block_the_next() {
        let network = Network::new(&[("::1", Reaction::Silent), ("127.0.0.1", Reaction::Answers)]);
        let begun = Instant::now();
        assert_eq!(network.dial(&extra()).await.unwrap().to_string(), "127.0.0.1");
        assert!(begun.elapsed() >= Duration::from_millis(250));
        assert_eq!(network.dropped.borrow().len(), 1, "the other attempt is dropped");
    }

    #[actix::test]
    async fn the_first_address_wins_if_it_answers() {
        let network = Network::new(&[("::1", Reaction::Answers), ("127.0.0.1", Reaction::Answers)]);
        assert_eq!(network.dial(&extra()).await.unwrap().to_string(), "::1");
        assert_eq!(network.begun(), ["::1"]);
    }

    #[actix::test]
    async fn after_a_refusal_the_next_address_is_tried_at_once() {
        let network = Network::new(&[
            ("::1", Reaction::Refuses),
            ("127.0.0.1", Reaction::Refuses),
            ("::2", Reaction::Refuses),
            ("127.0.0.2", Reaction::Answers),
        ]);
        // without a timer running out: none of the attempts ever waits
        let extra = extra();
        let dialing = tokio::time::timeout(Duration::ZERO, network.dial(&extra));
        assert_eq!(dialing.await.unwrap().unwrap().to_string(), "127.0.0.2");
        let network = Network::new(&[("::1", Reaction::Refuses), ("127.0.0.1", Reaction::Refuses)]);
        assert_eq!(network.dial(&extra).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[actix::test]
    async fn concurrent_attempts_are_bounded_and_every_address_is_tried() {
        let silent: Vec<_> = (1..=6).map(|last| format!("10.0.0.{last}")).collect();
        let mut reactions: Vec<_> = silent.iter().map(|text| (text.as_str(), Reaction::Silent)).collect();
        reactions.push(("10.0.0.7", Reaction::Answers));
        for (permits, open) in [(EXTRA_MAX, ATTEMPTS_MAX), (1, 2), (0, 1)] {
            let network = Network::new(&reactions);
            let extra = Semaphore::new(permits);
            assert_eq!(network.dial(&extra).await.unwrap().to_string(), "10.0.0.7");
            assert_eq!(network.begun().len(), 7);
            let dropped: Vec<_> = network.dropped.borrow().iter().map(ToString::to_string).collect();
            let before_the_end = 7 - open;
            assert_eq!(dropped[..before_the_end], silent[..before_the_end], "the oldest give way");
            assert_eq!(extra.available_permits(), permits, "the room is free again");
        }
    }

    #[actix::test]
    async fn no_address_is_a_failure() {
        assert!(Network::new(&[]).dial(&extra()).await.is_err());
    }
}
