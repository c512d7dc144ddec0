//! The keys of a route that determine what happens to its client when the upstream is lost and when a message
//! fails.

use config::Value;

use crate::{
    policy::{ErrorReplies, OnUpstreamLoss},
    settings::{
        keys::Kind,
        read::{Section, flag, text},
    },
};

/// The values of the route's keys about loss and failures.
pub(super) struct Policies {
    pub(super) on_upstream_loss: OnUpstreamLoss,
    pub(super) error_replies: ErrorReplies,
    pub(super) stateless: bool,
}

/// Reads the keys from a route's section. `has_errors` is whether the route has errors pipelines.
pub(super) fn read(section: &Section<'_>, has_errors: bool) -> Policies {
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
