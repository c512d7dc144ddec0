//! The access log: one line for each session, at its end, on standard output.
//!
//! `log.access_format` names the fields of a line. With `log.access = "text"` it is the line itself, with placeholders
//! such as `${code}`. With `"json"` the line is an object with these fields, in their order.
//!
//! Like the log, the access log never blocks (guarantee C3): lines wait in a bounded queue, and those that do not fit
//! are dropped and counted.
//!
//! # Security
//! Values come from clients. A value never ends its line, and has at most `entry::VALUE_MAX` bytes.

mod entry;
mod field;
mod format;

use std::{sync::OnceLock, time::Duration};

pub use self::{
    entry::{Closing, Entry, Opening},
    field::Field,
    format::{LineFormat, LineFormatError, Style},
};
use crate::log::{Quoted, Writer};

/// How long the process waits at its end for the reader of the access log.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// The writer to standard output. It is created when the first line is written; `None` if it cannot be.
static STDOUT: OnceLock<Option<Writer>> = OnceLock::new();

/// Queues a line, which has no end yet.
pub fn write(mut line: String) {
    let stdout = STDOUT.get_or_init(|| match Writer::stdout(log_dropped) {
        Ok(writer) => Some(writer),
        Err(error) => {
            log::error!("access log cannot be written reason={}", Quoted(&error.to_string()));
            None
        }
    });
    if let Some(stdout) = stdout {
        line.push('\n');
        stdout.print(line.as_bytes());
    }
}

/// Waits up to one second until everything is written. The process calls this at its end.
pub fn flush() {
    if let Some(Some(stdout)) = STDOUT.get() {
        stdout.flush(FLUSH_LIMIT);
    }
}

/// Reports in the log, not in the access log, whose lines all have one form.
fn log_dropped(count: u64, _: &mut Vec<u8>) {
    log::warn!("access lines dropped count={count}");
}
