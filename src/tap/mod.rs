//! The tap: lets an operator follow messages and outcomes while they pass.
//!
//! ```text
//! session, connector ─► SessionTap ─► Taps: filters of each tap ─► TapQueue ═► TapReader ─► JSON lines
//! ```
//!
//! A session's actors offer their messages while a tap is open. Filters run on the session's thread, at a bounded cost;
//! payloads are masked on the reader's thread. A reader that is too slow loses lines, and gets their number.

mod filter;
mod hub;
mod line;
mod pending;
mod queue;
mod reader;
mod redact;
mod session;
#[cfg(test)]
mod tests;

pub use self::{
    filter::{SubjectData, TapRequest, TapRequestError},
    hub::{MissedLines, TAPS_MAX, Taps, TooManyTaps},
    line::{Direction, MessageRole, Reason, SessionLabels, Stage},
    pending::{Arrival, Matched, PendingEvent, PendingEvents},
    reader::TapReader,
    redact::{MASK, Redaction, RuleError},
    session::{Content, Offer, SessionTap},
};
