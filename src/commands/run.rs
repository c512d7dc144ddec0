//! `towline run`

use std::path::Path;

use super::{
    Failure, block_on, load,
    signals::{self, Hangup},
};

/// Runs the proxy until a signal ends it.
pub(super) fn run(config: Option<&Path>) -> Result<(), Failure> {
    let settings = load(config)?;
    block_on(async { crate::run(settings, signals::shutdown(Hangup::Ignore)?).await })
}
