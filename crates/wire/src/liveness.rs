//! Detects dead peers: records when data last arrived, whether the peer reads, and which ping is unanswered
//! (guarantee C8).
//!
//! This module does no input or output. A peer that is silent for a while gets a ping, and counts as dead
//! when it does not answer. While the proxy does not read from the peer because buffers are full, the peer
//! does not count as silent, and is pinged so that a reset of the connection shows. A peer that does not read its
//! queued data cannot receive a ping, so the time that a socket stays blocked has a limit too.

use std::time::Duration;

use super::LivenessConfig;
use crate::ticker::{Tick, Ticks};

const NEVER: Tick = Tick::NEVER;

/// The time in which a suspected peer must send anything, unless `ping_timeout` is shorter. It is longer than
/// any network round trip, and short because clients wait meanwhile.
const SUSPICION: Duration = Duration::from_secs(1);

/// The liveness state of one peer.
#[derive(Debug)]
pub struct Liveness {
    limits: Limits,
    /// When data last arrived from the peer.
    heard: Tick,
    /// When a message was last received or sent.
    messaged: Tick,
    /// Since when the socket is full; [`Tick::NEVER`] while it is not.
    blocked: Tick,
    /// When the unanswered ping was sent.
    pinged: Tick,
    /// Since when an incomplete message of the peer waits for memory.
    held_up: Tick,
    /// When the peer was suspected of being dead; cleared when data arrives.
    suspected: Tick,
}

/// The times of [`LivenessConfig`] in ticks. Every connection has a copy, which takes a quarter of the memory
/// of the original.
#[derive(Debug, Clone, Copy)]
struct Limits {
    ping_interval: Ticks,
    ping_timeout: Ticks,
    idle: Ticks,
    blocked: Ticks,
    suspicion: Ticks,
}

/// The liveness check that a peer failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LivenessError {
    /// The peer did not answer a ping.
    Silent,
    /// The peer did not read its queued data.
    Blocked,
    /// No message was received or sent for too long.
    Idle,
    /// There was no memory for the rest of the peer's message for too long.
    HeldUp,
    /// The peer was suspected of being dead and sent nothing.
    Dead,
}

/// The result of the liveness checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// The peer passes all checks.
    Ok,
    /// The owner must send a ping.
    SendPing,
    /// The owner must close the connection, because the peer failed this check.
    Failed(LivenessError),
}

impl Liveness {
    /// Creates the state right after the handshake.
    pub fn new(config: &LivenessConfig, now: Tick) -> Self {
        Self {
            limits: config.into(),
            heard: now,
            messaged: now,
            blocked: NEVER,
            pinged: NEVER,
            held_up: NEVER,
            suspected: NEVER,
        }
    }

    /// Applies other times, counted from what has happened so far.
    pub fn set_config(&mut self, config: &LivenessConfig) {
        self.limits = config.into();
    }

    /// Records that data arrived from the peer, of any kind.
    pub fn heard(&mut self, now: Tick) {
        self.heard = now;
        self.pinged = NEVER;
        self.suspected = NEVER;
    }

    /// Records that a message was received or sent.
    pub fn messaged(&mut self, now: Tick) {
        self.messaged = now;
    }

    /// Records that the socket is full.
    pub fn blocked(&mut self, now: Tick) {
        self.blocked = self.blocked.min(now);
    }

    /// Records that the socket accepted bytes. A peer that reads is alive.
    pub fn took(&mut self, now: Tick) {
        if self.is_blocked() {
            self.blocked = NEVER;
            self.heard(now);
        }
    }

    /// Records whether a message of the peer waits for memory.
    pub fn held_up(&mut self, now: Tick, waits: bool) {
        self.held_up = if waits { self.held_up.min(now) } else { NEVER };
    }

    /// Treats the peer as possibly dead: it now has a short time to send anything. Returns whether to send a
    /// ping. A peer is never suspected when pings are off.
    pub fn suspect(&mut self, now: Tick) -> bool {
        if self.limits.suspicion == Ticks::FOREVER {
            return false;
        }
        self.suspected = self.suspected.min(now);
        // A ping cannot pass the blocked data.
        let asks = self.pinged == NEVER && !self.is_blocked();
        if asks {
            self.pinged = now;
        }
        asks
    }

    /// Whether the socket is full.
    pub fn is_blocked(&self) -> bool {
        self.blocked != NEVER
    }

    /// When the next check is due, if nothing happens until then.
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

    /// Runs the checks. `reading` is whether the proxy currently reads from the peer; if not, silence does
    /// not count against the peer.
    pub fn check(&mut self, now: Tick, reading: bool) -> Check {
        let mut probes = false;
        if !reading {
            // While it is not read, its data, pongs included, stays in the socket. It is pinged all the same, because the
            // socket shows that the peer has reset the connection only when it is written to.
            let last = if self.pinged == NEVER { self.heard } else { self.pinged };
            probes = now >= last + self.limits.ping_interval;
            self.heard(if probes { now } else { last });
            self.messaged = now;
        }
        if now >= self.held_up + self.limits.blocked {
            return Check::Failed(LivenessError::HeldUp);
        }
        if now >= self.messaged + self.limits.idle {
            return Check::Failed(LivenessError::Idle);
        }
        if now >= self.suspected + self.limits.suspicion {
            return Check::Failed(LivenessError::Dead);
        }
        if self.is_blocked() {
            // A ping cannot pass the blocked data.
            let failed = now >= self.blocked + self.limits.blocked;
            return if failed { Check::Failed(LivenessError::Blocked) } else { Check::Ok };
        }
        if probes {
            return Check::SendPing;
        }
        if now >= self.pinged + self.limits.ping_timeout {
            return Check::Failed(LivenessError::Silent);
        }
        if self.pinged == NEVER && now >= self.heard + self.limits.ping_interval {
            self.pinged = now;
            return Check::SendPing;
        }
        Check::Ok
    }

    /// Restarts the timer that ends a connection whose peer does not read.
    pub fn restart_write_timer(&mut self, now: Tick) {
        if self.is_blocked() {
            self.blocked = now;
        }
    }
}

impl From<&LivenessConfig> for Limits {
    fn from(config: &LivenessConfig) -> Self {
        Self {
            ping_interval: config.ping_interval.into(),
            ping_timeout: Ticks::covering(config.ping_timeout),
            idle: config.idle_timeout.into(),
            blocked: config.slow_consumer_timeout.into(),
            suspicion: suspicion(config).into(),
        }
    }
}

impl LivenessError {
    /// The close code for this failure (RFC 6455 section 7.4.1, and 1013 of the IANA registry).
    pub fn close_code(self) -> u16 {
        match self {
            Self::Silent | Self::Dead => 1011,
            Self::Idle => 1001,
            Self::Blocked | Self::HeldUp => 1013,
        }
    }

    /// The close reason: what the peer did not do, and the time limit.
    pub fn text(self, config: &LivenessConfig) -> String {
        let shown = |time: Option<Duration>| humantime::format_duration(time.unwrap_or_default());
        match self {
            Self::Silent => format!("no answer to a ping within {}", shown(Some(config.ping_timeout))),
            Self::Dead => {
                format!("no sign of life within {} after an overdue reply", shown(suspicion(config)))
            }
            Self::Blocked => format!("nothing read within {}", shown(config.slow_consumer_timeout)),
            Self::Idle => format!("no message within {}", shown(config.idle_timeout)),
            Self::HeldUp => {
                format!("no memory for the message within {}", shown(config.slow_consumer_timeout))
            }
        }
    }
}

/// The time in which a suspected peer must send something; `None` when pings are off.
fn suspicion(config: &LivenessConfig) -> Option<Duration> {
    config.ping_interval.map(|_| config.ping_timeout.min(SUSPICION))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn config() -> LivenessConfig {
        LivenessConfig {
            ping_interval: Some(Duration::from_secs(1)),
            ping_timeout: Duration::from_millis(500),
            idle_timeout: None,
            slow_consumer_timeout: Some(Duration::from_secs(2)),
        }
    }

    fn fresh() -> Liveness {
        Liveness::new(&config(), Tick(100))
    }

    /// A peer whose bytes fill the buffers may be gone: only a write shows it.
    #[test]
    fn a_peer_that_is_not_read_is_pinged_and_owes_no_answer() {
        let mut liveness = fresh();
        for at in [111, 122, 133] {
            assert_eq!(liveness.next(), Tick(at));
            assert_eq!(liveness.check(Tick(at - 1), false), Check::Ok);
            assert_eq!(liveness.check(Tick(at), false), Check::SendPing);
            assert_eq!(liveness.check(Tick(at), false), Check::Ok);
        }
        assert_eq!(liveness.check(Tick(144), true), Check::SendPing, "it is read again");
        assert_eq!(liveness.check(Tick(150), true), Check::Failed(LivenessError::Silent));
        let mut blocked = fresh();
        blocked.blocked(Tick(100));
        assert_eq!(blocked.check(Tick(111), false), Check::Ok, "a ping cannot pass the blocked data");
    }

    #[test]
    fn a_silent_peer_is_pinged_then_fails() {
        let mut liveness = fresh();
        assert_eq!(liveness.next(), Tick(111));
        assert_eq!(liveness.check(Tick(110), true), Check::Ok);
        assert_eq!(liveness.check(Tick(111), true), Check::SendPing);
        assert_eq!(liveness.check(Tick(111), true), Check::Ok, "it is pinged once");
        assert_eq!(liveness.next(), Tick(117));
        assert_eq!(liveness.check(Tick(116), true), Check::Ok);
        assert_eq!(liveness.check(Tick(117), true), Check::Failed(LivenessError::Silent));
    }

    #[test]
    fn a_suspected_peer_is_pinged_at_once_and_fails_soon() {
        let mut liveness = fresh();
        assert!(liveness.suspect(Tick(103)));
        assert!(!liveness.suspect(Tick(104)), "one ping is enough");
        assert_eq!(liveness.next(), Tick(109));
        assert_eq!(liveness.check(Tick(108), true), Check::Ok);
        assert_eq!(liveness.check(Tick(109), true), Check::Failed(LivenessError::Dead));
        let config = LivenessConfig { ping_timeout: Duration::from_secs(10), ..config() };
        let mut liveness = Liveness::new(&config, Tick(0));
        assert!(liveness.suspect(Tick(0)));
        assert_eq!(liveness.next(), Tick(11), "not the whole ping_timeout");
    }

    #[test]
    fn any_data_clears_a_suspicion() {
        let mut liveness = fresh();
        assert!(liveness.suspect(Tick(103)));
        liveness.heard(Tick(108));
        assert_eq!(liveness.check(Tick(109), true), Check::Ok);
        assert!(liveness.suspect(Tick(110)));
    }

    #[test]
    fn a_suspected_peer_that_does_not_read_fails_as_soon() {
        let mut liveness = fresh();
        liveness.blocked(Tick(102));
        assert!(!liveness.suspect(Tick(103)), "no ping gets out");
        assert_eq!(liveness.check(Tick(109), true), Check::Failed(LivenessError::Dead));
        liveness.took(Tick(109));
        assert_eq!(liveness.check(Tick(109), true), Check::Ok);
    }

    #[test]
    fn a_peer_that_is_never_pinged_is_not_suspected() {
        let mut liveness = Liveness::new(&LivenessConfig { ping_interval: None, ..config() }, Tick(0));
        assert!(!liveness.suspect(Tick(1)));
        assert_eq!(liveness.check(Tick(1000), true), Check::Ok);
    }

    #[test]
    fn a_peer_that_answers_passes() {
        let mut liveness = fresh();
        assert_eq!(liveness.check(Tick(111), true), Check::SendPing);
        liveness.heard(Tick(111));
        assert_eq!(liveness.check(Tick(117), true), Check::Ok);
        assert_eq!(liveness.check(Tick(122), true), Check::SendPing);
    }

    #[test]
    fn a_peer_that_is_not_read_is_not_silent() {
        let mut liveness = fresh();
        assert_eq!(liveness.check(Tick(111), true), Check::SendPing);
        assert_eq!(liveness.check(Tick(117), false), Check::Ok);
        assert_eq!(liveness.check(Tick(118), true), Check::Ok);
    }

    #[test]
    fn a_peer_that_does_not_read_fails_without_a_ping() {
        let mut liveness = fresh();
        liveness.blocked(Tick(105));
        liveness.blocked(Tick(106));
        assert_eq!(liveness.check(Tick(125), true), Check::Ok);
        assert_eq!(liveness.next(), Tick(126));
        assert_eq!(liveness.check(Tick(126), true), Check::Failed(LivenessError::Blocked));
        liveness.restart_write_timer(Tick(126));
        assert_eq!(liveness.check(Tick(127), true), Check::Ok);
        liveness.took(Tick(180));
        assert_eq!(liveness.check(Tick(190), true), Check::Ok);
        assert_eq!(liveness.check(Tick(191), true), Check::SendPing);
    }

    #[test]
    fn waiting_for_memory_has_the_limit_of_a_slow_consumer() {
        let mut liveness = fresh();
        for tick in 105..110 {
            liveness.held_up(Tick(tick), true);
        }
        assert_eq!(liveness.check(Tick(125), false), Check::SendPing);
        assert_eq!(liveness.next(), Tick(126));
        assert_eq!(liveness.check(Tick(126), false), Check::Failed(LivenessError::HeldUp));
        liveness.held_up(Tick(126), false);
        assert_eq!(liveness.check(Tick(126), false), Check::Ok);
    }

    #[test]
    fn an_idle_peer_fails_even_if_it_answers_pings() {
        let config = LivenessConfig { idle_timeout: Some(Duration::from_secs(3)), ..config() };
        let mut liveness = Liveness::new(&config, Tick(0));
        for tick in 0..31 {
            liveness.heard(Tick(tick));
            assert_eq!(liveness.check(Tick(tick), true), Check::Ok);
        }
        liveness.heard(Tick(31));
        assert_eq!(liveness.check(Tick(31), true), Check::Failed(LivenessError::Idle));
    }

    proptest! {
        /// Checking only at [`Liveness::next`] finds the same failure at the same tick as checking at every tick.
        #[test]
        fn the_first_failure_is_found_when_the_next_check_is_due(
            acts in proptest::collection::vec(prop_oneof![9 => Just(0_u8), 1 => 1_u8..6], 1..400),
        ) {
            let config = LivenessConfig { idle_timeout: Some(Duration::from_secs(9)), ..config() };
            let (mut eager, mut lazy) = (Liveness::new(&config, Tick(0)), Liveness::new(&config, Tick(0)));
            for (tick, act) in (1..).map(Tick).zip(acts) {
                for liveness in [&mut eager, &mut lazy] {
                    match act {
                        1 => liveness.heard(tick),
                        2 => liveness.messaged(tick),
                        3 => liveness.blocked(tick),
                        4 => liveness.took(tick),
                        5 => _ = liveness.suspect(tick),
                        _ => {}
                    }
                }
                let found = eager.check(tick, true);
                if tick < lazy.next() {
                    prop_assert_eq!(found, Check::Ok);
                } else {
                    prop_assert_eq!(found, lazy.check(tick, true));
                }
                if matches!(found, Check::Failed(_)) {
                    return Ok(());
                }
                prop_assert!(lazy.next() > tick, "it never spins");
            }
        }
    }
}
