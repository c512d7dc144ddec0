//! The keys of listeners that limit the number and rate of sessions.

use crate::settings::read::Section;

/// Limits on the number and rate of a listener's sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// Maximum number of sessions; `None` if only the server's limit applies.
    pub max_sessions: Option<usize>,
    /// Maximum number of sessions per client address; `None` for no limit. For IPv6, a /64 network counts as
    /// one address.
    pub max_sessions_per_address: Option<usize>,
    /// Maximum number of new sessions per second; `None` for no limit.
    pub max_new_sessions: Option<u32>,
}

/// Reads the keys from a listener's section.
pub(crate) fn read(section: &Section<'_>) -> Admission {
    let admission = Admission {
        max_sessions: section.cap("max_sessions"),
        max_sessions_per_address: section.cap("max_sessions_per_address"),
        max_new_sessions: section.cap("max_new_sessions"),
    };
    if let (Some(all), Some(of_one)) = (admission.max_sessions, admission.max_sessions_per_address)
        && of_one > all
    {
        let text = format!("is above max_sessions, which is {all}, so it can never be reached");
        section.conflict("max_sessions_per_address", &["max_sessions"], text);
    }
    admission
}
