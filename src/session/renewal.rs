//! The renewal of a client's credential by a message of the client.
//!
//! No actors, sockets or clocks are used here: `now` is passed in, and the check of a credential is a future of the
//! caller.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use crate::{
    auth::{Denial, Identity, RenewalMessage, RenewalRule, Secret},
    event::Data,
    failure::Failure,
    flow::Ticket,
    policy::LifetimePolicy,
    rate::{Limiter, OnLimit, Rate},
};

/// How often a client may renew: four times at once, then once a second. Each renewal may cost a signature or a request
/// to another server.
const RATE: Rate =
    Rate { messages: Some(1), bytes: None, burst: Duration::from_secs(4), on_limit: OnLimit::Error };

/// The check of a credential.
pub type Check = Pin<Box<dyn Future<Output = Result<Identity, Denial>>>>;

/// Hands a new credential to the connections that the session makes from now on.
///
/// # Errors
/// When the upstream cannot get it.
pub type Announce = Rc<dyn Fn(&Secret, &Arc<Identity>) -> Result<(), Failure>>;

/// How a client renews its credential.
#[derive(Clone)]
pub struct Renewal {
    /// The name of the method that accepted the client.
    pub method: Arc<str>,
    /// The messages that renew.
    pub rule: RenewalRule,
    /// Starts to check a credential, by the method that accepted the client.
    pub check: Rc<dyn Fn(Secret) -> Check>,
    /// The decisions of the route about the lifetime of sessions.
    pub lifetime: Arc<LifetimePolicy>,
    /// Takes a credential that was accepted; `None` without an upstream.
    pub announce: Option<Announce>,
}

/// The renewals of one session.
pub(super) struct Renewals {
    renewal: Renewal,
    limiter: Option<Limiter>,
    /// The message that is being checked. There is one at a time.
    pending: Option<Pending>,
}

/// A message that is being checked.
struct Pending {
    ticket: Ticket,
    secret: Secret,
    check: Check,
}

/// A message that was checked.
pub(super) struct Checked {
    pub(super) ticket: Ticket,
    /// Its credential.
    pub(super) secret: Secret,
    /// The client's identity according to the credential.
    pub(super) result: Result<Identity, Denial>,
}

// === impl Renewals ===

impl Renewals {
    pub(super) fn new(renewal: Renewal, now: Instant) -> Box<Self> {
        Box::new(Self { renewal, limiter: Limiter::new(&RATE, now), pending: None })
    }

    /// The name of the method that accepted the client.
    pub(super) fn method(&self) -> &Arc<str> {
        &self.renewal.method
    }

    /// Continues with other settings of the method. A check in progress continues.
    pub(super) fn adopt(&mut self, renewal: Renewal) {
        let announce = self.renewal.announce.take();
        self.renewal = Renewal { announce, ..renewal };
    }

    /// The message as one that renews; `None` if it is any other.
    pub(super) fn recognise(&self, data: &Data) -> Option<RenewalMessage> {
        self.renewal.rule.recognise(data)
    }

    /// The decisions of the route about the lifetime of sessions.
    pub(super) fn lifetime(&self) -> &Arc<LifetimePolicy> {
        &self.renewal.lifetime
    }

    /// Starts to check the credential of a message.
    ///
    /// # Errors
    /// When the message has no credential, another one is being checked, or there were too many. Contains the ticket.
    pub(super) fn start(
        &mut self,
        ticket: Ticket,
        message: RenewalMessage,
        now: Instant,
    ) -> Result<(), (Ticket, Failure)> {
        let refused = |ticket, reason: &str| Err((ticket, Failure::renewal(reason)));
        let Some(secret) = message.secret else { return refused(ticket, "no credential") };
        if self.pending.is_some() {
            return refused(ticket, "the one before has no answer yet");
        }
        if let Some(limiter) = &mut self.limiter {
            if limiter.excess(0, now).is_some() {
                return refused(ticket, "too many renewals");
            }
            limiter.count(0, now);
        }
        let check = (self.renewal.check)(secret.clone());
        self.pending = Some(Pending { ticket, secret, check });
        Ok(())
    }

    /// The result of the check in progress. Pending if there is none.
    pub(super) fn poll(&mut self, task: &mut Context<'_>) -> Poll<Checked> {
        let Some(Pending { check, .. }) = &mut self.pending else { return Poll::Pending };
        let Poll::Ready(result) = check.as_mut().poll(task) else { return Poll::Pending };
        match self.pending.take() {
            Some(Pending { ticket, secret, .. }) => Poll::Ready(Checked { ticket, secret, result }),
            None => Poll::Pending,
        }
    }

    /// Hands a credential that was accepted to the connections that the session makes from now on.
    ///
    /// # Errors
    /// When the upstream cannot get it.
    pub(super) fn announce(&self, secret: &Secret, identity: &Arc<Identity>) -> Result<(), Failure> {
        self.renewal.announce.as_ref().map_or(Ok(()), |announce| announce(secret, identity))
    }
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewal").field("rule", &self.rule).finish_non_exhaustive()
    }
}

/// Whether a client may continue as `new`, who was `old`; otherwise the reason for the client.
///
/// # Errors
/// When it is the subject of another issuer, another subject or none, or the credential is not valid.
pub(super) fn accept(old: &Identity, new: Result<Identity, Denial>) -> Result<Identity, Failure> {
    let new = new.map_err(|denial| match denial {
        Denial::Missing => Failure::renewal("no credential"),
        Denial::Malformed(error) => Failure::renewal(error.to_string()),
        Denial::Invalid(error) => Failure::renewal(error.to_string()),
        Denial::Forbidden(_) => Failure::renewal("not allowed"),
        Denial::Removed => Failure::renewal("no longer possible"),
        Denial::ByService { .. } | Denial::Certificate(_) => Failure::renewal("invalid credential"),
        Denial::Unavailable(_) | Denial::Failed(_) | Denial::Busy(_) | Denial::TooManyWait => {
            Failure::renewal("authentication is not available")
        }
    })?;
    // Without a subject, nothing says that it is the same client.
    match (&old.subject, &new.subject) {
        (Some(old), Some(same)) if old == same && !old.is_empty() => {}
        _ => return Err(Failure::renewal("another subject")),
    }
    // A subject belongs to its issuer (RFC 7519 section 4.1.2).
    match old.claims.get("iss") == new.claims.get("iss") {
        true => Ok(new),
        false => Err(Failure::renewal("another issuer")),
    }
}
