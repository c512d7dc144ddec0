//! The lines of a tap, as its reader has them: parsed, written for people, and exported.
//!
//! A record is a file of such lines. Its first line says what made it.

mod entry;
mod har;
mod header;
mod human;

pub use self::{
    entry::{BadEntry, Entry, RecordedLine, RecordedOutcome, RecordedPayload},
    har::{Har, TooLarge},
    header::{Header, NotARecord},
    human::human,
};
