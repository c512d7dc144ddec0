//! Which sessions a request concerns.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;

use crate::{
    admin::{api::names, error::ApiError},
    figures::SessionPhase,
    listener::ServerState,
    server::{SessionInfo, Stage},
    session::KnownClient,
};

/// The words of [`state_of`].
const STATES: [&str; 4] = ["starting", "open", "draining", "closing"];

/// The conditions of a request. All that are given must hold.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Conditions {
    pub(super) listener: Option<String>,
    pub(super) route: Option<String>,
    /// An address, or a network such as `10.0.0.0/8`.
    pub(super) peer: Option<String>,
    pub(super) state: Option<String>,
    /// `NAME=VALUE`.
    pub(super) claim: Option<String>,
}

/// Which claims a condition may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claims {
    /// Claims that the log shows. Otherwise everybody could discover the others by trying values.
    Shown,
    /// All, for operators with the token.
    All,
}

/// [`Conditions`], checked.
#[derive(Debug)]
pub(super) struct Filter {
    listener: Option<String>,
    route: Option<String>,
    peers: Option<IpNet>,
    state: Option<String>,
    claim: Option<(String, String)>,
    claims: Claims,
}

/// The state of a session as lists name it.
pub(super) fn state_of(info: &SessionInfo, stage: Stage) -> &'static str {
    match (stage, info.figures.phase()) {
        (Stage::Starting, _) => STATES[0],
        (Stage::Running, SessionPhase::Open) => STATES[1],
        (Stage::Running, SessionPhase::Draining) => STATES[2],
        (Stage::Running, SessionPhase::Closing | SessionPhase::Over) => STATES[3],
    }
}

// === impl Conditions ===

impl Conditions {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        let Self { listener, route, peer, state, claim } = self;
        [listener, route, peer, state, claim].into_iter().all(Option::is_none)
    }

    /// Checks the conditions.
    pub(super) fn check(self, server: &ServerState, claims: Claims) -> Result<Filter, ApiError> {
        let Self { listener, route, peer, state, claim } = self;
        names::check(server, listener.as_deref(), route.as_deref())?;
        if let Some(state) = state.as_deref().filter(|state| !STATES.contains(state)) {
            let text = format!("state = {state:?}: takes {}", STATES.join(", "));
            return Err(ApiError::invalid(text));
        }
        let peers = peer.map(|text| {
            let address = || text.parse::<IpAddr>().map(IpNet::from);
            let wrong = |_| format!("peer = {text:?}: takes an address, or a network such as 10.0.0.0/8");
            text.parse::<IpNet>().or_else(|_| address()).map_err(wrong).map_err(ApiError::invalid)
        });
        let claim = claim.map(|text| match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            _ => Err(ApiError::invalid(format!("claim = {text:?}: takes NAME=VALUE"))),
        });
        Ok(Filter { listener, route, peers: peers.transpose()?, state, claim: claim.transpose()?, claims })
    }
}

// === impl Filter ===

impl Filter {
    /// Whether all conditions hold.
    pub(super) fn takes(&self, info: &SessionInfo, stage: Stage) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        is(&self.listener, &info.listener.name)
            && is(&self.route, &info.route.name)
            && is(&self.state, state_of(info, stage))
            && self.peers.is_none_or(|peers| peers.contains(&info.peer.ip().to_canonical()))
            && self.claim.as_ref().is_none_or(|(name, value)| {
                info.known.as_ref().is_some_and(|known| self.has_claim(known, name, value))
            })
    }

    fn has_claim(&self, known: &KnownClient, name: &str, value: &str) -> bool {
        let may = self.claims == Claims::All || known.log_claims.iter().any(|shown| shown == name);
        may && known.claim(name).is_some_and(|found| found == value)
    }
}
