//! The end of a session's lifetime: the notice before its token expires, and the close afterwards.

use std::{
    sync::Arc,
    task,
    time::{Duration, Instant},
};

use super::{CloseIntent, EndCause, Session, SessionState};
use crate::{
    deadline::Deadline,
    flow::{Cause, Loss},
    policy::LifetimePolicy,
    reply::expiry_data,
    session::lifetime::{Due, Lifetime, LifetimeEnd, Moment},
    wire::CloseFrame,
};

/// How long the events in flight of a session whose token has expired may take, or `close_timeout` if that is shorter.
/// With the ticks of two deadlines, the session then closes within a second.
const EXPIRED_GRACE: Duration = Duration::from_millis(400);

/// The lifetime of a session, with the alarm for what is due next.
pub(super) struct Expiry {
    lifetime: Lifetime,
    deadline: Deadline,
}

// === impl Expiry ===

impl Expiry {
    pub(super) fn new(lifetime: Lifetime) -> Box<Self> {
        let mut expiry = Self { lifetime, deadline: Deadline::new() };
        expiry.schedule(Moment::now());
        Box::new(expiry)
    }

    /// Continues with a token that expires at `expires`, in seconds since 1970.
    pub(super) fn renew(&mut self, expires: Option<u64>, now: Moment) {
        self.lifetime.renew(expires);
        self.schedule(now);
    }

    /// Continues with other decisions of the route, in a session that began at `opened`.
    pub(super) fn adopt(&mut self, policy: &Arc<LifetimePolicy>, opened: Instant, chance: f64) {
        self.lifetime.adopt(policy, opened, chance);
        self.schedule(Moment::now());
    }

    /// When the session is closed unless the token is renewed, as the time since 1970.
    pub(super) fn closes_at(&self) -> Option<Duration> {
        self.lifetime.closes_at()
    }

    /// Sets the alarm for what is due next.
    fn schedule(&mut self, now: Moment) {
        match self.lifetime.wait(now) {
            Some(wait) => self.deadline.set(wait),
            None => self.deadline.clear(),
        }
    }
}

impl Session {
    /// Does what is due in the session's lifetime.
    pub(super) fn check_lifetime(&mut self) {
        let is_open = matches!(self.state, SessionState::Open) && self.ending.is_none();
        let Some(expiry) = self.expiry.as_mut().filter(|_| is_open) else { return };
        if !expiry.deadline.has_passed() {
            return;
        }
        let now = Moment::now();
        let due = expiry.lifetime.due(now);
        expiry.schedule(now);
        match due {
            Some(Due::Notice(expires)) => self.announce_expiry(expires),
            Some(Due::End(end)) => self.end_lifetime(end),
            None => {}
        }
    }

    /// Ends the session if its lifetime is over. Called for each message that has been read, so that one which was sent
    /// later is not accepted, even if it wakes the session before the alarm does.
    pub(super) fn has_outlived(&mut self) -> bool {
        let Some(expiry) = &self.expiry else { return false };
        match expiry.lifetime.end(Moment::now()) {
            Some(end) => self.end_lifetime(end),
            None => return false,
        }
        true
    }

    /// Registers the waker for what is due next.
    pub(super) fn arm_lifetime(&mut self, task: &task::Context<'_>) {
        if let Some(expiry) = self.expiry.as_mut().filter(|_| matches!(self.state, SessionState::Open)) {
            expiry.deadline.arm(task.waker());
        }
    }

    /// Sends the notice that the client's token expires at `expires`, as the time since 1970. On a route without error
    /// replies the client gets no message that its protocol does not have.
    fn announce_expiry(&mut self, expires: Duration) {
        let Some(expiry) = self.expiry.as_ref().filter(|_| self.links.replies_errors) else { return };
        let closes_at = expiry.lifetime.closes_at().unwrap_or(expires);
        let event = self.tracker.issue(Cause::Push).redeem();
        let data = expiry_data(self.tracker.id(event), expires, closes_at);
        self.delivery.announce(event);
        self.reply_with(event, Cause::Push, data, None);
    }

    fn end_lifetime(&mut self, end: LifetimeEnd) {
        let Some(expiry) = &self.expiry else { return };
        let (frame, grace, cause) = match end {
            LifetimeEnd::Expired => {
                let policy = expiry.lifetime.policy();
                let grace = self.listener.close_timeout.min(EXPIRED_GRACE);
                (CloseFrame::new(policy.code, policy.reason.as_str()), grace, EndCause::Expired)
            }
            LifetimeEnd::Aged => {
                let frame = CloseFrame::new(1001, "maximum session age reached");
                (frame, self.listener.close_timeout, EndCause::MaxAge)
            }
        };
        if !self.links.replies_errors {
            // Without error replies, only the close reason can name an event that is lost.
            self.loss = Some(Box::<Loss>::default());
        }
        self.start_draining(CloseIntent::Close(Some(frame), cause), grace);
    }
}
