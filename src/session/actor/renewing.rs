//! The renewal of the client's credential by a message of the client, which never reaches the upstream.

use std::{
    sync::Arc,
    task::{self, Poll},
    time::Instant,
};

use super::{Session, SessionState, expiring::Expiry, tapping::Undecoded};
use crate::{
    auth::{Denial, Identity, RenewalMessage, Secret},
    event::{Meta, Record, Value},
    failure::Failure,
    flow::{Cause, Kind, Ticket},
    log::{PlaceLimit, Quoted},
    reply::renewal_data,
    session::{
        known::LoggedClaims,
        lifetime::{Lifetime, Moment},
        messages::{Extension, NotExtended},
        renewal::{self, Checked},
    },
    wire::Message,
};

/// Limits the log lines about renewals of all sessions together: the tokens of many may end at the same time.
static RENEWED: PlaceLimit = PlaceLimit::new(100);
static REFUSED: PlaceLimit = PlaceLimit::new(100);

impl Session {
    /// Accepts a message that renews the client's credential. It is an event like others, but is not sent on: its outcome
    /// is an acknowledgement or an error reply.
    pub(super) fn renew(&mut self, message: RenewalMessage) {
        let ticket = self.tracker.issue(Cause::Message);
        self.accept_event(ticket.event());
        self.tap_undecoded(ticket.event(), Undecoded::Secret);
        let Some(renewals) = &mut self.renewals else { return };
        if let Err((ticket, failure)) = renewals.start(ticket, message, Instant::now()) {
            self.fail(ticket.redeem(), Cause::Message, failure, None);
        }
    }

    /// Acts on the result of the check in progress, if there is one.
    pub(super) fn check_renewal(&mut self, task: &mut task::Context<'_>) {
        // Later, the event has its outcome.
        if !matches!(self.state, SessionState::Open | SessionState::Draining { .. }) {
            return;
        }
        let Some(renewals) = &mut self.renewals else { return };
        if let Poll::Ready(Checked { ticket, secret, result }) = renewals.poll(task) {
            match self.accept_identity(&secret, result) {
                Ok(()) => self.acknowledge(ticket),
                Err(failure) => {
                    if let Some(suppressed) = REFUSED.line(Instant::now()) {
                        let reason = Quoted(&failure.detail);
                        log::info!("renewal refused session={self} reason={reason}{suppressed}");
                    }
                    self.fail(ticket.redeem(), Cause::Message, failure, None);
                }
            }
        }
    }

    /// Continues with a new identity of the client.
    fn accept_identity(&mut self, secret: &Secret, result: Result<Identity, Denial>) -> Result<(), Failure> {
        let (Some(known), Some(renewals)) = (&mut self.known, &self.renewals) else {
            return Err(Failure::lost());
        };
        if !matches!(self.state, SessionState::Open) {
            return Err(Failure::renewal("the session has ended"));
        }
        let identity = renewal::accept(&known.identity, result)?;
        let (new, now) = (Lifetime::of_token(renewals.lifetime(), identity.expires), Moment::now());
        if new.as_ref().is_some_and(|new| new.end(now).is_some()) {
            return Err(Failure::renewal("expired credential"));
        }
        let identity = Arc::new(identity);
        renewals.announce(secret, &identity)?;
        match &mut self.expiry {
            Some(expiry) => expiry.renew(identity.expires, now),
            expiry => *expiry = new.map(Expiry::new),
        }
        self.guard.renewed(&identity);
        known.identity = identity;
        self.meta = self.meta.take().map(|meta| with_identity(&meta, &known.identity));
        if let Some(suppressed) = RENEWED.line(Instant::now()) {
            let claims = LoggedClaims(self.known.as_deref());
            log::info!("session renewed session={self}{claims}{suppressed}");
        }
        Ok(())
    }

    /// Lets the client's credential expire later, by order of an operator, and notifies the client. Its claims stay as they
    /// are.
    pub(super) fn extend(&mut self, Extension { subject, expires, reply }: Extension) {
        // An operator who has gone gets no result.
        let _ = reply.send(self.expire_later(&subject, expires));
    }

    fn expire_later(&mut self, subject: &str, expires: u64) -> Result<(), NotExtended> {
        if !matches!(self.state, SessionState::Open) {
            return Err(NotExtended::Ended);
        }
        let (Some(known), Some(expiry)) = (&mut self.known, &mut self.expiry) else {
            return Err(NotExtended::Endless);
        };
        let before = known.identity.expires.ok_or(NotExtended::Endless)?;
        if subject.is_empty() || known.identity.subject.as_deref() != Some(subject) {
            return Err(NotExtended::OtherSubject);
        }
        if expires < before {
            return Err(NotExtended::Earlier);
        }
        expiry.renew(Some(expires), Moment::now());
        let identity = Identity { expires: Some(expires), ..Identity::clone(&known.identity) };
        known.identity = Arc::new(identity);
        self.guard.renewed(&known.identity);
        self.figures.history.changed("credential extended", &format!("expires={expires}"));
        if self.links.replies_errors {
            let closes_at = self.expiry.as_ref().and_then(|expiry| expiry.closes_at());
            let event = self.tracker.issue(Cause::Push).redeem();
            let data = renewal_data(self.tracker.id(event), Some(expires), closes_at);
            self.delivery.announce(event);
            self.reply_with(event, Cause::Push, data, None);
        }
        Ok(())
    }

    /// Sends the acknowledgement of a renewal.
    fn acknowledge(&mut self, ticket: Ticket) {
        let closes_at = self.expiry.as_ref().and_then(|expiry| expiry.closes_at());
        let expires = self.known.as_ref().and_then(|known| known.identity.expires);
        let data = renewal_data(ticket.id(), expires, closes_at);
        let permit = Some(self.down.channel.budget().take(data.size()));
        let meta = Meta::new(false, self.meta.clone());
        let mut messages = Vec::new();
        if self.down.channel.encode(data.clone().into(), &meta, &mut messages).is_err() {
            // The listener's format cannot encode a record. JSON text always can.
            messages.push(Message::Text(data.to_json().into()));
        }
        self.emit_to_client(Kind::Reply, ticket, messages, permit);
    }
}

/// The metadata of a session with another identity in `$session`.
fn with_identity(meta: &Record, identity: &Identity) -> Arc<Record> {
    let mut meta = meta.clone();
    if let Some(Value::Record(session)) = meta.get("session") {
        let mut session = Record::clone(session);
        session.insert("subject".into(), identity.subject.as_deref().map_or(Value::Null, Value::string));
        session.insert("claims".into(), Value::Record(Arc::clone(&identity.claims)));
        meta.insert("session".into(), Value::Record(Arc::new(session)));
    }
    Arc::new(meta)
}
