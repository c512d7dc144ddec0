//! The remaining steps of an event. The evaluator, the library and the engine share one [`Steps`].

use std::cell::Cell;

use super::limits::{self, LimitExceeded, Limits};
use crate::{diagnostic::Fault, source::Span};
use towline_event::Value;

/// The number of bytes of text, or items of arrays and records, that are built in the time of one step. The
/// limit on steps therefore also bounds the size of built values.
const BYTES_A_STEP: usize = 64;
const ITEMS_A_STEP: usize = 8;

/// The remaining steps of an event, and its other limits.
#[derive(Debug)]
pub(crate) struct Steps {
    left: Cell<u32>,
    limits: Limits,
}

impl Steps {
    /// Creates the steps of a new event.
    pub(crate) fn new(limits: Limits) -> Self {
        Self { left: Cell::new(limits.max_steps), limits }
    }

    /// The limits of the event.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The remaining steps.
    pub(crate) fn left(&self) -> u32 {
        self.left.get()
    }

    /// Spends one step. `span` is the position for the error when none remain.
    pub(crate) fn take(&self, span: Span) -> Result<(), Box<Fault>> {
        match self.left.get().checked_sub(1) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => Err(Fault::new(span, self.used_up())),
        }
    }

    /// Spends several steps, for library functions, whose errors have no position in the program.
    ///
    /// # Errors
    /// When fewer than `count` steps remain. No steps remain afterwards.
    pub(crate) fn spend(&self, count: usize) -> Result<(), String> {
        let left = u32::try_from(count).ok().and_then(|count| self.left.get().checked_sub(count));
        self.left.set(left.unwrap_or(0));
        left.map(|_| ()).ok_or_else(|| self.used_up())
    }

    fn used_up(&self) -> String {
        format!("the event took more than {} steps", self.limits.max_steps)
    }

    /// Spends the steps for building a value, by its length without nested values.
    pub(crate) fn weigh(&self, value: &Value, span: Span) -> Result<(), Box<Fault>> {
        let steps = match value {
            Value::String(text) => text.len() / BYTES_A_STEP,
            Value::Bytes(bytes) => bytes.len() / BYTES_A_STEP,
            Value::Array(items) => items.len() / ITEMS_A_STEP,
            Value::Record(record) => record.len() / ITEMS_A_STEP,
            _ => return Ok(()),
        };
        self.spend(steps).map_err(|message| Fault::new(span, message))
    }

    /// Spends the steps for building a record with `items` fields.
    pub(crate) fn weigh_items(&self, items: usize, span: Span) -> Result<(), Box<Fault>> {
        self.spend(items / ITEMS_A_STEP).map_err(|message| Fault::new(span, message))
    }

    /// The size in bytes of a value that will be stored `depth` levels deep; an error if it exceeds the
    /// limits.
    pub(crate) fn measure(&self, value: &Value, depth: usize) -> Result<usize, LimitExceeded> {
        limits::measure(value, depth, self.limits.max_value)
    }

    /// Refuses a value beyond the limits. Measuring the value takes steps too.
    pub(crate) fn check(&self, value: &Value, span: Span) -> Result<(), Box<Fault>> {
        if let Value::Array(_) | Value::Record(_) = value {
            let size = self.measure(value, 0).map_err(|much| Fault::new(span, much.to_string()))?;
            self.look(size, span)?;
        }
        Ok(())
    }

    /// Spends the steps for measuring a value of the given size.
    pub(crate) fn look(&self, size: usize, span: Span) -> Result<(), Box<Fault>> {
        self.spend(size / (4 * BYTES_A_STEP)).map_err(|message| Fault::new(span, message))
    }

    /// Refuses a text that is too long to be searched with a regular expression.
    pub(crate) fn search(&self, text: &str) -> Result<(), LimitExceeded> {
        let max = self.limits.search.max_text;
        if text.len() > max { Err(LimitExceeded::Searched(max)) } else { Ok(()) }
    }

    /// Refuses a text or a list whose size in bytes would exceed the limit, before it is built.
    pub(crate) fn room(&self, size: usize, span: Span) -> Result<(), Box<Fault>> {
        let max = self.limits.max_value;
        if size > max { Err(Fault::new(span, LimitExceeded::Large(max).to_string())) } else { Ok(()) }
    }
}
