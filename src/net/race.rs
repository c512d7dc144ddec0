//! The order and times of connection attempts: Happy Eyeballs (RFC 8305). No clocks or sockets are used here.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    net::SocketAddr,
    time::{Duration, Instant},
};

/// The time without a connection after which the next address is tried (RFC 8305 section 5).
pub(super) const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The addresses left to try, and the results of the attempts so far.
#[derive(Debug)]
pub(super) struct Race {
    waiting: VecDeque<SocketAddr>,
    /// Number of running attempts.
    open: usize,
    /// When the next attempt is due.
    due: Option<Instant>,
    /// The failure to report if no attempt succeeds.
    failure: Option<io::Error>,
}

/// The next step of a dial.
#[derive(Debug)]
pub(super) enum RaceStep {
    /// Try this address.
    Begin(SocketAddr),
    /// Wait for the running attempts, at most until the given time.
    Wait(Option<Instant>),
    /// All attempts have failed.
    Lost(io::Error),
}

impl Race {
    /// Creates a race between these addresses. Address families alternate, starting with that of the first
    /// address; within a family the order stays the same (RFC 8305 section 4).
    pub(super) fn new(addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self { waiting: interleave(addresses), open: 0, due: None, failure: None }
    }

    pub(super) fn turn(&mut self, now: Instant) -> RaceStep {
        let is_due = self.open == 0 || self.due.is_none_or(|due| now >= due);
        match self.waiting.front() {
            Some(_) if !is_due => RaceStep::Wait(self.due),
            None if self.open > 0 => RaceStep::Wait(None),
            _ => match self.waiting.pop_front() {
                Some(address) => {
                    self.open += 1;
                    self.due = Some(now + ATTEMPT_DELAY);
                    RaceStep::Begin(address)
                }
                None => {
                    RaceStep::Lost(self.failure.take().unwrap_or_else(|| ErrorKind::AddrNotAvailable.into()))
                }
            },
        }
    }

    /// Records a failed attempt. The next attempt is then due at once.
    pub(super) fn failed(&mut self, error: io::Error) {
        self.due = None;
        self.ended(error);
    }

    /// Records an attempt that was dropped in favour of the next one.
    pub(super) fn dropped(&mut self) {
        self.ended(ErrorKind::TimedOut.into());
    }

    fn ended(&mut self, error: io::Error) {
        self.open = self.open.saturating_sub(1);
        if self.failure.as_ref().is_none_or(|known| rank(&error) < rank(known)) {
            self.failure = Some(error);
        }
    }
}

/// The rank of a failure by how informative it is; the failure with the highest rank is reported. A host that
/// refuses a connection exists, so its failure is preferred to that of a family without a route. Among equals
/// the first is kept, because its address was preferred.
fn rank(error: &io::Error) -> u8 {
    match error.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => 0,
        ErrorKind::TimedOut => 2,
        ErrorKind::NetworkUnreachable | ErrorKind::AddrNotAvailable => 3,
        _ => 1,
    }
}

fn interleave(addresses: impl IntoIterator<Item = SocketAddr>) -> VecDeque<SocketAddr> {
    let addresses: Vec<_> = addresses.into_iter().collect();
    let first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (preferred, others): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|it| it.is_ipv6() == first);
    let mut mixed = VecDeque::new();
    let (mut preferred, mut others) = (preferred.into_iter(), others.into_iter());
    loop {
        let before = mixed.len();
        mixed.extend(preferred.next());
        mixed.extend(others.next());
        if mixed.len() == before {
            return mixed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 80)).collect()
    }

    fn begun(turn: RaceStep) -> String {
        match turn {
            RaceStep::Begin(address) => address.ip().to_string(),
            other => panic!("{other:?}"),
        }
    }

    fn error(kind: ErrorKind) -> io::Error {
        kind.into()
    }

    #[test]
    fn families_alternate_starting_with_the_systems_first_choice() {
        let table: [(&[&str], &[&str]); 6] = [
            (&[], &[]),
            (&["10.0.0.1"], &["10.0.0.1"]),
            (&["::1", "::2", "10.0.0.1", "10.0.0.2"], &["::1", "10.0.0.1", "::2", "10.0.0.2"]),
            (&["10.0.0.1", "10.0.0.2", "::1"], &["10.0.0.1", "::1", "10.0.0.2"]),
            (&["::1", "::2", "::3", "10.0.0.1"], &["::1", "10.0.0.1", "::2", "::3"]),
            (&["::1", "10.0.0.1", "10.0.0.2", "10.0.0.3"], &["::1", "10.0.0.1", "10.0.0.2", "10.0.0.3"]),
        ];
        for (given, expected) in table {
            assert_eq!(Vec::from(interleave(all(given))), all(expected));
        }
    }

    #[test]
    fn the_next_address_is_tried_after_a_quarter_of_a_second() {
        let mut race = Race::new(all(&["::1", "127.0.0.1", "127.0.0.2"]));
        let begin = Instant::now();
        let at = |millis| begin + Duration::from_millis(millis);
        assert_eq!(begun(race.turn(at(0))), "::1");
        assert!(matches!(race.turn(at(0)), RaceStep::Wait(Some(until)) if until == at(250)));
        assert!(matches!(race.turn(at(249)), RaceStep::Wait(Some(until)) if until == at(250)));
        assert_eq!(begun(race.turn(at(250))), "127.0.0.1");
        assert_eq!(begun(race.turn(at(500))), "127.0.0.2");
        assert!(matches!(race.turn(at(10_000)), RaceStep::Wait(None)));
    }

    #[test]
    fn the_next_address_is_tried_at_once_after_a_failure() {
        let mut race = Race::new(all(&["::1", "127.0.0.1"]));
        let now = Instant::now();
        assert_eq!(begun(race.turn(now)), "::1");
        race.failed(error(ErrorKind::ConnectionRefused));
        assert_eq!(begun(race.turn(now)), "127.0.0.1");
        assert!(matches!(race.turn(now), RaceStep::Wait(None)));
        race.failed(error(ErrorKind::ConnectionRefused));
        assert!(
            matches!(race.turn(now), RaceStep::Lost(error) if error.kind() == ErrorKind::ConnectionRefused)
        );
    }

    #[test]
    fn the_most_informative_failure_is_reported() {
        use ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable, TimedOut};
        let table = [
            (NetworkUnreachable, ConnectionRefused, ConnectionRefused),
            (ConnectionRefused, NetworkUnreachable, ConnectionRefused),
            (TimedOut, ConnectionRefused, ConnectionRefused),
            (NetworkUnreachable, TimedOut, TimedOut),
            (HostUnreachable, TimedOut, HostUnreachable),
            (HostUnreachable, ConnectionRefused, ConnectionRefused),
        ];
        for (first, second, reported) in table {
            let mut race = Race::new(all(&["::1", "127.0.0.1"]));
            let now = Instant::now();
            begun(race.turn(now));
            race.failed(error(first));
            begun(race.turn(now));
            race.failed(error(second));
            assert!(
                matches!(race.turn(now), RaceStep::Lost(error) if error.kind() == reported),
                "{first} {second}"
            );
        }
    }
}
