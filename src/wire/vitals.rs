//! Whether a peer is alive: when it was heard, whether it reads, when it was asked (C8).
//!
//! Pure. A peer of whom nothing was heard for a while is pinged, and given up when it does not answer. What
//! it is not read, because there is no room for what it sends, is no silence of its own; and one that does
//! not take what is queued for it cannot be pinged, so the blocked socket itself has a limit.

use std::time::Duration;

use crate::{
    settings::Health,
    ticker::{Tick, Ticks},
};

const NEVER: Tick = Tick::NEVER;

/// How long a suspected peer may take for a sign of life, where `ping_timeout` is not shorter. Longer than the
/// way to any server and back; short, because clients wait meanwhile.
const SUSPICION: Duration = Duration::from_secs(1);

/// What is known of a peer's life.
#[derive(Debug)]
pub struct Vitals {
    limits: Limits,
    /// When anything came from the peer.
    heard: Tick,
    /// When a message came from it or went to it.
    messaged: Tick,
    /// Since when the socket takes nothing of what is queued; never, if it does.
    blocked: Tick,
    /// When it was asked for a sign of life that has not come.
    pinged: Tick,
    /// Since when a message of it waits for memory.
    held_up: Tick,
    /// When it was suspected of being dead, without a sign of life since.
    suspected: Tick,
}

/// [`Health`] in ticks: a quarter of its size, and every connection has one.
#[derive(Debug, Clone, Copy)]
struct Limits {
    ping_interval: Ticks,
    ping_timeout: Ticks,
    idle: Ticks,
    blocked: Ticks,
    suspicion: Ticks,
}

/// What is wrong with a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ailment {
    /// It did not answer a ping.
    Silent,
    /// It did not take what was queued for it.
    Blocked,
    /// It is there, but there was no message for too long.
    Idle,
    /// There was no memory for the rest of its message.
    HeldUp,
    /// It was suspected and gave no sign of life.
    Dead,
}

/// What is to be done about a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// Nothing.
    Well,
    /// It has to be pinged.
    Quiet,
    /// It is given up.
    Ill(Ailment),
}

impl Vitals {
    /// A peer that has just finished its handshake.
    pub fn new(health: &Health, now: Tick) -> Self {
        let limits = Limits {
            ping_interval: health.ping_interval.into(),
            ping_timeout: Ticks::covering(health.ping_timeout),
            idle: health.idle_timeout.into(),
            blocked: health.slow_consumer_timeout.into(),
            suspicion: suspicion(health).into(),
        };
        Self {
            limits,
            heard: now,
            messaged: now,
            blocked: NEVER,
            pinged: NEVER,
            held_up: NEVER,
            suspected: NEVER,
        }
    }

    /// Something came from the peer, whatever it is.
    pub fn heard(&mut self, now: Tick) {
        self.heard = now;
        self.pinged = NEVER;
        self.suspected = NEVER;
    }

    /// A message came from the peer or goes to it.
    pub fn messaged(&mut self, now: Tick) {
        self.messaged = now;
    }

    /// The socket takes no more for now.
    pub fn blocked(&mut self, now: Tick) {
        self.blocked = self.blocked.min(now);
    }

    /// The socket took something. A peer that makes room in a blocked one is alive.
    pub fn took(&mut self, now: Tick) {
        if self.is_blocked() {
            self.blocked = NEVER;
            self.heard(now);
        }
    }

    /// Whether a message of the peer waits for memory.
    pub fn held_up(&mut self, now: Tick, waits: bool) {
        self.held_up = if waits { self.held_up.min(now) } else { NEVER };
    }

    /// The peer may be dead: from now on it has a short time for a sign of life. True when it has to be pinged
    /// for that. A peer that is never pinged is not suspected.
    pub fn suspect(&mut self, now: Tick) -> bool {
        if self.limits.suspicion == Ticks::FOREVER {
            return false;
        }
        self.suspected = self.suspected.min(now);
        // Behind what is blocked no ping gets out.
        let asks = self.pinged == NEVER && !self.is_blocked();
        if asks {
            self.pinged = now;
        }
        asks
    }

    /// Whether the socket takes nothing now.
    pub fn is_blocked(&self) -> bool {
        self.blocked != NEVER
    }

    /// When to look again, if nothing happens until then.
    pub fn next(&self) -> Tick {
        let silence = match self.pinged {
            _ if self.is_blocked() => self.blocked + self.limits.blocked,
            NEVER => self.heard + self.limits.ping_interval,
            at => at + self.limits.ping_timeout,
        };
        let held_up = self.held_up + self.limits.blocked;
        let suspicion = self.suspected + self.limits.suspicion;
        silence.min(held_up).min(suspicion).min(self.messaged + self.limits.idle)
    }

    /// Looks after the peer; `reading` tells whether it is read at all.
    pub fn check(&mut self, now: Tick, reading: bool) -> Finding {
        if !reading {
            // What it sends, pongs included, stays in the socket.
            self.heard(now);
            self.messaged = now;
        }
        if now >= self.held_up + self.limits.blocked {
            return Finding::Ill(Ailment::HeldUp);
        }
        if now >= self.messaged + self.limits.idle {
            return Finding::Ill(Ailment::Idle);
        }
        if now >= self.suspected + self.limits.suspicion {
            return Finding::Ill(Ailment::Dead);
        }
        if self.is_blocked() {
            // Behind what is blocked no ping gets out.
            let ill = now >= self.blocked + self.limits.blocked;
            return if ill { Finding::Ill(Ailment::Blocked) } else { Finding::Well };
        }
        if now >= self.pinged + self.limits.ping_timeout {
            return Finding::Ill(Ailment::Silent);
        }
        if self.pinged == NEVER && now >= self.heard + self.limits.ping_interval {
            self.pinged = now;
            return Finding::Quiet;
        }
        Finding::Well
    }

    /// Begins the wait for a blocked socket anew.
    pub fn excuse(&mut self, now: Tick) {
        if self.is_blocked() {
            self.blocked = now;
        }
    }
}

impl Ailment {
    /// The close code that tells it (RFC 6455 section 7.4.1, and 1013 of the IANA registry).
    pub fn close_code(self) -> u16 {
        match self {
            Self::Silent | Self::Dead => 1011,
            Self::Idle => 1001,
            Self::Blocked | Self::HeldUp => 1013,
        }
    }

    /// What is wrong, and for how long it was.
    pub fn text(self, health: &Health) -> String {
        let shown = |time: Option<Duration>| humantime::format_duration(time.unwrap_or_default());
        match self {
            Self::Silent => format!("no answer to a ping within {}", shown(Some(health.ping_timeout))),
            Self::Dead => {
                format!("no sign of life within {} after an overdue reply", shown(suspicion(health)))
            }
            Self::Blocked => format!("nothing read within {}", shown(health.slow_consumer_timeout)),
            Self::Idle => format!("no message within {}", shown(health.idle_timeout)),
            Self::HeldUp => {
                format!("no memory for the message within {}", shown(health.slow_consumer_timeout))
            }
        }
    }
}

/// How long a suspected peer has; none where peers are not pinged.
fn suspicion(health: &Health) -> Option<Duration> {
    health.ping_interval.map(|_| health.ping_timeout.min(SUSPICION))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn health() -> Health {
        Health {
            ping_interval: Some(Duration::from_secs(1)),
            ping_timeout: Duration::from_millis(500),
            idle_timeout: None,
            slow_consumer_timeout: Some(Duration::from_secs(2)),
        }
    }

    fn fresh() -> Vitals {
        Vitals::new(&health(), Tick(100))
    }

    #[test]
    fn a_silent_peer_is_pinged_and_then_given_up() {
        let mut vitals = fresh();
        assert_eq!(vitals.next(), Tick(111));
        assert_eq!(vitals.check(Tick(110), true), Finding::Well);
        assert_eq!(vitals.check(Tick(111), true), Finding::Quiet);
        assert_eq!(vitals.check(Tick(111), true), Finding::Well, "it is pinged once");
        assert_eq!(vitals.next(), Tick(117));
        assert_eq!(vitals.check(Tick(116), true), Finding::Well);
        assert_eq!(vitals.check(Tick(117), true), Finding::Ill(Ailment::Silent));
    }

    #[test]
    fn a_suspected_peer_is_pinged_at_once_and_given_up_soon() {
        let mut vitals = fresh();
        assert!(vitals.suspect(Tick(103)));
        assert!(!vitals.suspect(Tick(104)), "one ping is enough");
        assert_eq!(vitals.next(), Tick(109));
        assert_eq!(vitals.check(Tick(108), true), Finding::Well);
        assert_eq!(vitals.check(Tick(109), true), Finding::Ill(Ailment::Dead));
        let health = Health { ping_timeout: Duration::from_secs(10), ..health() };
        let mut vitals = Vitals::new(&health, Tick(0));
        assert!(vitals.suspect(Tick(0)));
        assert_eq!(vitals.next(), Tick(11), "not the whole ping_timeout");
    }

    #[test]
    fn whatever_a_suspected_peer_sends_clears_it() {
        let mut vitals = fresh();
        assert!(vitals.suspect(Tick(103)));
        vitals.heard(Tick(108));
        assert_eq!(vitals.check(Tick(109), true), Finding::Well);
        assert!(vitals.suspect(Tick(110)));
    }

    #[test]
    fn a_suspected_peer_that_does_not_read_is_given_up_as_soon() {
        let mut vitals = fresh();
        vitals.blocked(Tick(102));
        assert!(!vitals.suspect(Tick(103)), "no ping gets out");
        assert_eq!(vitals.check(Tick(109), true), Finding::Ill(Ailment::Dead));
        vitals.took(Tick(109));
        assert_eq!(vitals.check(Tick(109), true), Finding::Well);
    }

    #[test]
    fn a_peer_that_is_never_pinged_is_not_suspected() {
        let mut vitals = Vitals::new(&Health { ping_interval: None, ..health() }, Tick(0));
        assert!(!vitals.suspect(Tick(1)));
        assert_eq!(vitals.check(Tick(1000), true), Finding::Well);
    }

    #[test]
    fn a_peer_that_answers_lives_on() {
        let mut vitals = fresh();
        assert_eq!(vitals.check(Tick(111), true), Finding::Quiet);
        vitals.heard(Tick(111));
        assert_eq!(vitals.check(Tick(117), true), Finding::Well);
        assert_eq!(vitals.check(Tick(122), true), Finding::Quiet);
    }

    #[test]
    fn a_peer_that_is_not_read_is_not_silent() {
        let mut vitals = fresh();
        assert_eq!(vitals.check(Tick(111), true), Finding::Quiet);
        assert_eq!(vitals.check(Tick(117), false), Finding::Well);
        assert_eq!(vitals.check(Tick(118), true), Finding::Well);
    }

    #[test]
    fn a_peer_that_does_not_read_is_not_pinged_but_given_up() {
        let mut vitals = fresh();
        vitals.blocked(Tick(105));
        vitals.blocked(Tick(106));
        assert_eq!(vitals.check(Tick(125), true), Finding::Well);
        assert_eq!(vitals.next(), Tick(126));
        assert_eq!(vitals.check(Tick(126), true), Finding::Ill(Ailment::Blocked));
        vitals.excuse(Tick(126));
        assert_eq!(vitals.check(Tick(127), true), Finding::Well);
        vitals.took(Tick(180));
        assert_eq!(vitals.check(Tick(190), true), Finding::Well);
        assert_eq!(vitals.check(Tick(191), true), Finding::Quiet);
    }

    #[test]
    fn a_message_waits_for_memory_as_long_as_for_a_reader() {
        let mut vitals = fresh();
        for tick in 105..110 {
            vitals.held_up(Tick(tick), true);
        }
        assert_eq!(vitals.check(Tick(125), false), Finding::Well);
        assert_eq!(vitals.next(), Tick(126));
        assert_eq!(vitals.check(Tick(126), false), Finding::Ill(Ailment::HeldUp));
        vitals.held_up(Tick(126), false);
        assert_eq!(vitals.check(Tick(126), false), Finding::Well);
    }

    #[test]
    fn an_idle_peer_is_given_up_however_often_it_answers() {
        let health = Health { idle_timeout: Some(Duration::from_secs(3)), ..health() };
        let mut vitals = Vitals::new(&health, Tick(0));
        for tick in 0..31 {
            vitals.heard(Tick(tick));
            assert_eq!(vitals.check(Tick(tick), true), Finding::Well);
        }
        vitals.heard(Tick(31));
        assert_eq!(vitals.check(Tick(31), true), Finding::Ill(Ailment::Idle));
    }

    proptest! {
        /// Who looks only when told to finds the same at the same moment as who looks all the time.
        #[test]
        fn the_next_look_is_the_first_that_finds_something(
            acts in proptest::collection::vec(prop_oneof![9 => Just(0_u8), 1 => 1_u8..6], 1..400),
        ) {
            let health = Health { idle_timeout: Some(Duration::from_secs(9)), ..health() };
            let (mut eager, mut lazy) = (Vitals::new(&health, Tick(0)), Vitals::new(&health, Tick(0)));
            for (tick, act) in (1..).map(Tick).zip(acts) {
                for vitals in [&mut eager, &mut lazy] {
                    match act {
                        1 => vitals.heard(tick),
                        2 => vitals.messaged(tick),
                        3 => vitals.blocked(tick),
                        4 => vitals.took(tick),
                        5 => _ = vitals.suspect(tick),
                        _ => {}
                    }
                }
                let found = eager.check(tick, true);
                if tick < lazy.next() {
                    prop_assert_eq!(found, Finding::Well);
                } else {
                    prop_assert_eq!(found, lazy.check(tick, true));
                }
                if matches!(found, Finding::Ill(_)) {
                    return Ok(());
                }
                prop_assert!(lazy.next() > tick, "it never spins");
            }
        }
    }
}
