//! Rate limits on the client's messages, and the reaction to a client that is silent, idle or does not read.

use std::{
    sync::{Arc, Mutex},
    task,
    time::{Duration, Instant},
};

use actix::{AsyncContext, Context};

use super::{CloseIntent, EndCause, Session, SessionState};
use crate::{
    failure::{Failure, FailureLocation},
    flow::Cause,
    log::PlaceLimit,
    rate::{self, Excess, Limiter, OnLimit, Rate, SharedLimit},
    reply,
    settings::Listener,
    wire::{CloseFrame, LivenessError, Message},
};

/// Limits the log lines about clients that do not read, of all sessions together: a push to all clients at once may be
/// too much for many.
static DROPPING: PlaceLimit = PlaceLimit::new(100);
static READS_AGAIN: PlaceLimit = PlaceLimit::new(100);

/// The rate limits on a client's messages: one for the session, and those that it shares with others.
pub(super) struct Limiters {
    limits: Vec<SharedLimit>,
    /// Whether the first limit is that of the session.
    has_own: bool,
    /// Whether a timer is set, and the session reads nothing until it fires.
    is_waiting: bool,
}

impl Limiters {
    /// The limits for a new session; `None` when there are none. `shared` has those that it shares with others.
    pub(super) fn new(listener: &Listener, shared: Vec<SharedLimit>) -> Option<Box<Self>> {
        let own = Limiter::new(&listener.rate, Instant::now());
        let own = own.map(|limiter| Arc::new(Mutex::new(limiter)));
        let has_own = own.is_some();
        let limits: Vec<_> = own.into_iter().chain(shared).collect();
        (!limits.is_empty()).then(|| Box::new(Self { limits, has_own, is_waiting: false }))
    }

    /// Continues with another rate of the listener. Rates that the session shares change in place.
    pub(super) fn adopt(limiters: &mut Option<Box<Self>>, rate: &Rate, now: Instant) {
        match &mut *limiters {
            Some(limiters) if limiters.has_own => {
                if let Some(own) = limiters.limits.first() {
                    rate::locked(own).change(rate, now);
                }
            }
            limiters => {
                let Some(own) = Limiter::new(rate, now) else { return };
                let empty = || Box::new(Self { limits: Vec::new(), has_own: true, is_waiting: false });
                let limiters = limiters.get_or_insert_with(empty);
                limiters.has_own = true;
                limiters.limits.insert(0, Arc::new(Mutex::new(own)));
            }
        }
        if let Some(limiters) = limiters {
            // The wait is computed again.
            limiters.is_waiting = false;
        }
    }

    /// Counts a message of `bytes` bytes.
    ///
    /// # Errors
    /// The limit that the message exceeds, and the policy of that limit. The message is then not counted.
    fn count(&self, bytes: usize, now: Instant) -> Result<(), (Excess, OnLimit)> {
        for limit in &self.limits {
            // A delaying limit accepts every message. The session then stops reading until the debt is paid.
            let mut limiter = rate::locked(limit);
            if limiter.on_limit != OnLimit::Delay
                && let Some(excess) = limiter.excess(bytes, now)
            {
                return Err((excess, limiter.on_limit));
            }
        }
        self.limits.iter().for_each(|limit| rate::locked(limit).count(bytes, now));
        Ok(())
    }

    /// The time in which the session must not read from the client, from now on.
    fn wait(&self, now: Instant) -> Duration {
        let waits = self.limits.iter().map(|limit| {
            let mut limiter = rate::locked(limit);
            if limiter.on_limit == OnLimit::Delay { limiter.wait(now) } else { Duration::ZERO }
        });
        waits.max().unwrap_or_default()
    }
}

impl Session {
    /// Accepts a message of the client, or refuses it when it exceeds a rate limit.
    pub(super) fn admit(&mut self, message: Message) {
        let Some(limiters) = &self.limiters else {
            if let Some(decoded) = self.down.channel.decode(message) {
                self.accept(decoded);
            }
            return;
        };
        let counted = limiters.count(message.len(), Instant::now());
        // A delaying limit may hold the event back.
        let Err((excess, policy)) = counted else { return self.down.channel.feed(message) };
        let failure = Failure::rate_limited(excess);
        if policy == OnLimit::Close {
            let frame = CloseFrame::new(1008, reply::text(&failure));
            let intent = CloseIntent::Close(Some(frame), EndCause::RateLimit);
            self.start_draining(intent, self.listener.close_timeout);
        }
        self.reject(failure);
    }

    /// Accepts incomplete input, such as a last line without newline, as the client's last events. It is
    /// called when the client has closed. Each preprocessor has at most one such event.
    pub(super) fn finish_input(&mut self) {
        while let Some(decoded) = self.down.channel.take_unfinished() {
            self.accept(decoded);
        }
        self.flush_batch();
    }

    /// Rejects incomplete input, because the rest of it will not be read.
    pub(super) fn abandon_input(&mut self) {
        if let Some(error) = self.down.channel.abandon() {
            self.reject(Failure::decode(FailureLocation::Downstream, error));
        }
    }

    /// Whether a rate limit forbids the session to read from the client. If so, a timer wakes the session
    /// when it may.
    ///
    /// The timer is not an alarm of the ticker, because a rate needs waits shorter than a tick. The socket
    /// cannot delay the timer: the session does not read meanwhile, and writes are bounded in each turn.
    pub(super) fn is_held_back(&mut self, ctx: &mut Context<Self>, task: &task::Context<'_>) -> bool {
        let Some(limiters) = &mut self.limiters else { return false };
        if !limiters.is_waiting {
            let wait = limiters.wait(Instant::now());
            limiters.is_waiting = !wait.is_zero();
            if limiters.is_waiting {
                let waker = task.waker().clone();
                ctx.run_later(wait, move |session, _| {
                    if let Some(limiters) = &mut session.limiters {
                        limiters.is_waiting = false;
                    }
                    waker.wake();
                });
            }
        }
        limiters.is_waiting
    }

    /// Sends a ping to a silent client, and ends the session of a client that is silent, idle or blocked for
    /// too long.
    pub(super) fn check_liveness(&mut self, task: &task::Context<'_>) {
        if matches!(self.state, SessionState::Open)
            && let Some(error) = self.down.channel.check_liveness(task.waker())
        {
            self.on_liveness_error(error);
        }
    }

    fn on_liveness_error(&mut self, error: LivenessError) {
        if error == LivenessError::Blocked && self.start_dropping() {
            return;
        }
        let frame = CloseFrame::new(error.close_code(), error.text(&self.listener.liveness));
        let intent = CloseIntent::Close(Some(frame), error.into());
        match error {
            // Draining is pointless: outcomes would wait behind the frames that the client does not read.
            LivenessError::Blocked => self.close(intent),
            LivenessError::Silent | LivenessError::Idle | LivenessError::HeldUp | LivenessError::Dead => {
                self.start_draining(intent, self.listener.close_timeout);
            }
        }
    }

    /// Starts to drop messages for a client that does not read. Returns false when the policy does not allow
    /// that, or when dropping does not free enough of the budget.
    fn start_dropping(&mut self) -> bool {
        let discarded = self.down.discarded();
        let drops = self.down.start_dropping();
        if drops
            && discarded == 0
            && let Some(suppressed) = DROPPING.line(Instant::now())
        {
            let policy = self.listener.slow_consumer;
            log::warn!("client does not read: dropping session={self} policy={policy}{suppressed}");
        }
        drops
    }

    /// Reports to the client how many messages it missed, `count`.
    pub(super) fn report_gap(&mut self, count: u64) {
        if let Some(suppressed) = READS_AGAIN.line(Instant::now()) {
            log::info!("client reads again session={self} discarded={count}{suppressed}");
        }
        self.figures.count(|tally| tally.gaps.add(1));
        self.figures.history.changed("messages discarded", &format!("count={count}"));
        if !self.links.replies_errors {
            return;
        }
        let event = self.tracker.issue(Cause::Push).redeem();
        self.down.expect_notice(event);
        self.delivery.announce(event);
        self.reply_error(event, Cause::Push, Failure::gap(count), None);
    }
}
