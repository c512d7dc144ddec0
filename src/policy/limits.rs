//! Limits of a route on all clients with the same claim or header.

use crate::rate::Rate;

/// A limit on all sessions of a route that have the same value of a claim or header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyLimit {
    /// The claim or header whose value the sessions share.
    pub by: LimitKey,
    /// Maximum number of such sessions; `None` for no limit.
    pub max_sessions: Option<usize>,
    /// Rate limit on the messages of all such sessions together.
    pub rate: Rate,
}

/// The claim or header whose value the sessions of a limit share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitKey {
    /// `header:NAME`: a header of the client's request. The name is in lower case.
    Header(String),
    /// `claim:NAME`: a claim of the authenticated client.
    Claim(String),
}
