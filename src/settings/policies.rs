//! Keys that decide what happens to a client when its upstream ends, and how failures are reported.

use config::{Value, ValueKind};

use super::{
    keys::Kind,
    read::{Section, all, commas, flag, quoted, text},
};
use crate::{
    policy::{ErrorReplies, OnEnd, OnUpstreamLoss, Otherwise, Range},
    wire,
};

/// Reads the route's keys about loss and failures.
pub(super) struct Policies {
    pub(super) on_upstream_loss: OnUpstreamLoss,
    pub(super) error_replies: ErrorReplies,
    pub(super) stateless: bool,
}

/// Reads the keys `NAME.pass` and `NAME.else`.
pub(super) fn on_end(section: &Section<'_>, name: &str) -> OnEnd {
    let [pass, otherwise] = [format!("{name}.pass"), format!("{name}.else")];
    let kind = section.kind(&pass);
    OnEnd {
        pass: section.read(&pass, |value| codes(value, kind)).unwrap_or_default(),
        otherwise: match section.chooses(&otherwise, "pass") {
            true => Otherwise::Pass,
            false => Otherwise::Reconnect,
        },
    }
}

/// Numbers, or texts such as "4000-4999"; comma-separated in the environment.
fn codes(value: &Value, kind: Kind) -> Result<Vec<Range>, String> {
    let codes = match &value.kind {
        ValueKind::Array(items) => all(items.iter().map(|item| code(item, kind))),
        ValueKind::String(text) if value.origin().is_some() => {
            all(commas(text).iter().map(|part| range(part, kind)))
        }
        other => return Err(format!("takes a list of {kind}, not {other}")),
    };
    codes.map_err(|wrong| format!("takes {kind}, not {wrong}"))
}

/// Parses a code or a range; the error is the text that is neither.
fn code(item: &Value, kind: Kind) -> Result<Range, String> {
    match &item.kind {
        ValueKind::String(text) => range(text, kind),
        other => range(&other.to_string(), kind),
    }
}

fn range(text: &str, kind: Kind) -> Result<Range, String> {
    let range = Range::parse(text).filter(|range| range.ends().into_iter().all(|end| allowed(end, kind)));
    range.ok_or_else(|| quoted(text))
}

fn allowed(end: u16, kind: Kind) -> bool {
    match kind {
        Kind::Statuses => (300..=599).contains(&end),
        _ => wire::is_sendable(end),
    }
}

pub(super) fn route(section: &Section<'_>, has_errors: bool) -> Policies {
    let policies = Policies {
        on_upstream_loss: match section.choice("on_upstream_loss").as_deref() {
            Some("keep") => OnUpstreamLoss::Keep,
            Some("close") => OnUpstreamLoss::Close,
            _ => OnUpstreamLoss::Auto,
        },
        error_replies: section.read("error_replies", error_replies).unwrap_or(ErrorReplies::Auto),
        stateless: section.flag("stateless"),
    };
    if policies.stateless && policies.on_upstream_loss == OnUpstreamLoss::Close {
        let text = "contradicts on_upstream_loss = \"close\": the client of a stateless route is kept";
        section.conflict("stateless", &["on_upstream_loss"], text);
    }
    if policies.error_replies == ErrorReplies::Off && has_errors {
        section.conflict(
            "error_replies",
            &[],
            "contradicts errors: these pipelines would never get an event",
        );
    }
    if section.said("upstream").is_none() {
        for key in ["on_upstream_loss", "stateless", "outgoing", "dial_before_accept"] {
            if section.said(key).is_some() {
                section.conflict(key, &[], "has no effect without an upstream");
            }
        }
    }
    policies
}

fn error_replies(value: &Value) -> Result<ErrorReplies, String> {
    match text(value) {
        Ok("auto") => Ok(ErrorReplies::Auto),
        _ => flag(value, Kind::AutoFlag).map(|on| if on { ErrorReplies::On } else { ErrorReplies::Off }),
    }
}
