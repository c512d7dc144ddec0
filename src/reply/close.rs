//! Failures that close the session of a client without error replies (`error_replies = false`).

use std::fmt::Write;

use crate::{
    event::EventId,
    failure::{Failure, FailureKind, FailureLocation, Written},
    flow::Cause,
    wire::REASON_MAX,
};

/// The close code and reason for a failure that the client must notice; `None` if the client need not notice
/// it.
///
/// `cause` is the source of what failed: a client's message or an upstream's. `is_binary` is whether a
/// message that could not be decoded was binary. docs/closing.md has this table for users.
pub fn close_for(failure: &Failure, cause: Cause, is_binary: bool) -> Option<(u16, &'static str)> {
    if failure.server.is_some() && failure.kind == FailureKind::Recovery && failure.written == Written::Whole
    {
        // Its subscription is lost, although the event counts as delivered.
        return Some((1012, "upstream connection lost"));
    }
    if failure.server.is_some() && failure.kind != FailureKind::NotAllowed {
        // After any loss, pushes may be missing: `on_upstream_loss` decides.
        return (cause != Cause::Push).then(|| (1012, loss_of(failure)));
    }
    Some(match (failure.kind, failure.location) {
        (FailureKind::Decode(_), FailureLocation::Upstream) => {
            (1011, "message of the upstream cannot be decoded")
        }
        (FailureKind::Decode(_), _) if is_binary => (1003, "binary message cannot be decoded"),
        (FailureKind::Decode(_), _) => (1007, "message cannot be decoded"),
        (FailureKind::Encode(_), FailureLocation::Upstream) => {
            (1011, "event cannot be encoded for the upstream")
        }
        (FailureKind::Encode(_), _) => (1011, "message cannot be encoded for the client"),
        (FailureKind::RateLimited(_), _) => (1008, "rate limit exceeded"),
        (FailureKind::Renewal, _) => (1008, "session was not renewed"),
        (FailureKind::Outlived, _) => (1008, "session has ended"),
        (FailureKind::Recovery, _) => (1008, "limit of the recovery journal exceeded"),
        (FailureKind::NotAllowed, _) => (1011, "server is not allowed"),
        (FailureKind::Program, _) => (1011, "pipeline failed"),
        (FailureKind::Rejected, _) => (1011, "refused by a pipeline"),
        // The settings ask for dropping messages; the log has their number.
        (FailureKind::Gap(_), _) => return None,
        _ => (1011, "internal error"),
    })
}

/// The first words of the close reason for an event that was not sent or not answered.
fn loss_of(failure: &Failure) -> &'static str {
    match failure.kind {
        _ if failure.written != Written::Whole => "event cannot be sent to the upstream",
        FailureKind::NoReply(_) => "no reply from the upstream",
        _ => "upstream connection lost",
    }
}

/// A close reason: `words`, then the events concerned, as in
/// `upstream connection lost; first lost event 1:0:7; last event sent 1:0:6`. A part that does not fit in a
/// close frame is omitted, so that no event id is truncated.
pub fn reason_with(text: &str, events: impl IntoIterator<Item = (&'static str, EventId)>) -> String {
    let mut reason = text.to_owned();
    for (what, event) in events {
        let end = reason.len();
        // Writing to memory does not fail.
        let _ = write!(reason, "; {what} {event}");
        if reason.len() > REASON_MAX {
            reason.truncate(end);
        }
    }
    reason
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::{
        event::EventNumber,
        format_error::{FormatError, FormatErrorKind},
        rate::Excess,
        wire::{LinkError, WireError, is_sendable},
    };

    fn failures() -> Vec<(Failure, [Option<u16>; 2])> {
        let server: Arc<str> = "ws://h/".into();
        let not_sent = |failure: Failure| failure.for_event(&server, Written::Nothing);
        let no_reply = |failure: Failure| failure.for_event(&server, Written::Whole);
        let error = || FormatError::new(FormatErrorKind::Malformed, "detail");
        let timeout = FailureKind::NoReply(Duration::from_secs(1));
        let protocol = LinkError::from(WireError::Masked);
        vec![
            (Failure::decode(FailureLocation::Downstream, error()), [Some(1007), Some(1007)]),
            (Failure::rate_limited(Excess::Messages), [Some(1008), Some(1008)]),
            (not_sent(Failure::not_connected()), [Some(1012), None]),
            (not_sent(Failure::connection(FailureKind::NotAllowed, "detail")), [Some(1011), Some(1011)]),
            (no_reply(Failure::connection(timeout, "")), [Some(1012), None]),
            (no_reply(Failure::from(&protocol)), [Some(1012), None]),
            (no_reply(Failure::lost()), [Some(1012), None]),
            (Failure::encode(FailureLocation::Upstream, error()), [Some(1011), Some(1011)]),
            (Failure::decode(FailureLocation::Upstream, error()), [Some(1011), Some(1011)]),
            (Failure::encode(FailureLocation::Downstream, error()), [Some(1011), Some(1011)]),
            (Failure::program("detail", true), [Some(1011), Some(1011)]),
            (Failure::rejected("", true), [Some(1011), Some(1011)]),
            (Failure::lost(), [Some(1011), Some(1011)]),
            (Failure::gap(3), [None, None]),
            (Failure::renewal("detail"), [Some(1008), Some(1008)]),
            (Failure::outlived(), [Some(1008), Some(1008)]),
            (Failure::unrecorded("detail"), [Some(1008), Some(1008)]),
            (not_sent(Failure::connection(FailureKind::Recovery, "detail")), [Some(1012), None]),
            // The event counts as delivered, and its subscription is lost.
            (no_reply(Failure::connection(FailureKind::Recovery, "detail")), [Some(1012), Some(1012)]),
        ]
    }

    #[test]
    fn each_failure_has_its_close_code() {
        for (failure, expected) in failures() {
            let code = |cause| close_for(&failure, cause, false).map(|(code, _)| code);
            assert_eq!([code(Cause::Message), code(Cause::Push)], expected, "{failure:?}");
        }
        let (undecodable, _) = &failures()[0];
        let binary = close_for(undecodable, Cause::Message, true);
        assert_eq!(binary.map(|(code, _)| code), Some(1003));
    }

    #[test]
    fn every_reason_fits_a_close_frame_with_the_longest_event_id() {
        let id = EventId { source: u32::MAX, stream: u64::MAX, event: EventNumber(u64::MAX) };
        for (failure, _) in failures() {
            let Some((code, words)) = close_for(&failure, Cause::Message, true) else { continue };
            assert!(is_sendable(code));
            let reason = reason_with(words, [("first lost event", id), ("last event sent", id)]);
            assert_eq!(reason, format!("{words}; first lost event {id}"), "whole ids only");
            assert!(reason.len() <= REASON_MAX, "{words}");
        }
    }

    #[test]
    fn a_reason_names_the_first_lost_event_and_the_last_one_sent() {
        let id = |event| EventId { source: 1, stream: 9_999_999, event: EventNumber(event) };
        let events = [("first lost event", id(1_000_000)), ("last event sent", id(999_999))];
        assert_eq!(
            reason_with("event cannot be sent to the upstream", events),
            "event cannot be sent to the upstream; first lost event 1:9999999:1000000; last event sent \
             1:9999999:999999"
        );
        assert_eq!(reason_with("pipeline failed", []), "pipeline failed");
    }
}
