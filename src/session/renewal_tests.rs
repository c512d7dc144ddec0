//! Renewals by table: which messages are checked, and who may continue.

use std::{
    cell::Cell,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use super::renewal::{Checked, Renewal, Renewals, accept};
use crate::{
    auth::{Denial, Identity, Invalid, RenewalRule},
    event::{Data, Record, Value},
    flow::{AckTracker, Cause, Ticket},
    reply,
};

fn identity(subject: Option<&str>) -> Identity {
    let (method, subject) = ("users".into(), subject.map(Arc::from));
    Identity { method, subject, claims: Arc::new(Record::new()), expires: None }
}

/// Renewals whose checks accept the credential `good` once `is_open`.
fn renewals(is_open: &Rc<Cell<bool>>, now: Instant) -> Box<Renewals> {
    let path = |key: &str| [key.to_owned()].into();
    let rule = RenewalRule { path: path("type"), value: "renew".to_owned(), token: path("token") };
    let is_open = Rc::clone(is_open);
    let renewal = Renewal {
        method: "users".into(),
        rule,
        check: Rc::new(move |secret| {
            let is_open = Rc::clone(&is_open);
            let result = match secret.expose() {
                "good" => Ok(identity(Some("7"))),
                _ => Err(Denial::Invalid(Invalid::UnknownKey)),
            };
            Box::pin(std::future::poll_fn(move |_| match is_open.get() {
                true => Poll::Ready(result.clone()),
                false => Poll::Pending,
            }))
        }),
        lifetime: Arc::default(),
        announce: None,
    };
    Renewals::new(renewal, now)
}

fn message(token: &str) -> Data {
    Value::string(format!(r#"{{"type":"renew","token":"{token}"}}"#)).into()
}

/// Starts a renewal. Returns the reason if it is refused at once.
fn start(renewals: &mut Renewals, ticket: Ticket, data: &Data, now: Instant) -> Option<String> {
    let message = renewals.recognise(data).expect("it renews");
    renewals.start(ticket, message, now).err().map(|(ticket, failure)| {
        ticket.redeem();
        reply::text(&failure)
    })
}

#[test]
fn one_renewal_is_checked_at_a_time() {
    let (is_open, now, tracker) = (Rc::new(Cell::new(false)), Instant::now(), AckTracker::new(1, 0));
    let mut renewals = renewals(&is_open, now);
    let mut task = Context::from_waker(Waker::noop());
    assert!(renewals.poll(&mut task).is_pending(), "there is none");
    let first = tracker.issue(Cause::Message);
    let number = first.event();
    assert_eq!(start(&mut renewals, first, &message("good"), now), None);
    assert!(renewals.poll(&mut task).is_pending());
    let refused = start(&mut renewals, tracker.issue(Cause::Message), &message("good"), now);
    assert_eq!(refused.as_deref(), Some("Error renewing session: the one before has no answer yet"));
    is_open.set(true);
    let Poll::Ready(Checked { ticket, result, .. }) = renewals.poll(&mut task) else { panic!("no result") };
    assert_eq!((ticket.redeem(), result.unwrap().subject.as_deref()), (number, Some("7")));
    assert!(renewals.poll(&mut task).is_pending(), "a result is given once");
}

#[test]
fn the_rate_of_renewals_is_bounded() {
    let (is_open, begun, tracker) = (Rc::new(Cell::new(true)), Instant::now(), AckTracker::new(1, 0));
    let mut renewals = renewals(&is_open, begun);
    let mut task = Context::from_waker(Waker::noop());
    let mut renew = |now| {
        let refused = start(&mut renewals, tracker.issue(Cause::Message), &message("bad"), now);
        if let Poll::Ready(Checked { ticket, result, .. }) = renewals.poll(&mut task) {
            ticket.redeem();
            assert_eq!(result, Err(Denial::Invalid(Invalid::UnknownKey)));
        }
        refused
    };
    assert_eq!((0..6).filter(|_| renew(begun).is_none()).count(), 4);
    assert_eq!(renew(begun).as_deref(), Some("Error renewing session: too many renewals"));
    let minute = (1..=60).filter(|second| renew(begun + Duration::from_secs(*second)).is_none());
    assert_eq!(minute.count(), 60);
}

#[test]
fn a_message_without_a_credential_is_refused() {
    let (is_open, now, tracker) = (Rc::new(Cell::new(true)), Instant::now(), AckTracker::new(1, 0));
    let mut renewals = renewals(&is_open, now);
    let data = Value::string(r#"{"type":"renew"}"#).into();
    let refused = start(&mut renewals, tracker.issue(Cause::Message), &data, now);
    assert_eq!(refused.as_deref(), Some("Error renewing session: no credential"));
    assert!(renewals.recognise(&Value::string(r#"{"type":"other","token":"x"}"#).into()).is_none());
}

/// A client with the subject 7 of this issuer.
fn of_issuer(issuer: &str) -> Identity {
    let claims = Record::from([("iss".into(), Value::string(issuer))]);
    Identity { claims: Arc::new(claims), ..identity(Some("7")) }
}

#[test]
fn a_subject_of_another_issuer_is_another_client() {
    let reason = |old, new| accept(&old, Ok(new)).err().map(|failure| failure.detail);
    assert_eq!(reason(of_issuer("a"), of_issuer("a")), None);
    for (old, new) in [
        (of_issuer("a"), of_issuer("b")),
        (of_issuer("a"), identity(Some("7"))),
        (identity(Some("7")), of_issuer("a")),
    ] {
        assert_eq!(reason(old, new).as_deref(), Some("another issuer"));
    }
}

#[test]
fn only_the_same_subject_continues() {
    let seven = identity(Some("7"));
    let reason = |old: &Identity, new| accept(old, new).err().map(|failure| failure.detail);
    assert_eq!(reason(&seven, Ok(seven.clone())), None);
    for (old, new, expected) in [
        (&seven, Ok(identity(Some("8"))), "another subject"),
        (&seven, Ok(identity(None)), "another subject"),
        (&identity(None), Ok(identity(None)), "another subject"),
        (&identity(Some("")), Ok(identity(Some(""))), "another subject"),
        (&seven, Err(Denial::Invalid(Invalid::UnknownKey)), "unknown key"),
        (&seven, Err(Denial::Forbidden("scope".to_owned())), "not allowed"),
        (&seven, Err(Denial::Unavailable(3)), "authentication is not available"),
    ] {
        assert_eq!(reason(old, new).as_deref(), Some(expected));
    }
}
