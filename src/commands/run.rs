//! The command `towline run`.

use super::{
    CommandError, block_on,
    signals::{self, Hangup},
    source, start_log,
};
use crate::{cli::Source, settings};

/// Runs the proxy until a signal ends it.
pub(super) fn run(source: &Source) -> Result<(), CommandError> {
    let settings = settings::check(&source::layers(source)?)?;
    start_log(&settings.log)?;
    block_on(async { crate::run(settings, signals::shutdown(Hangup::Ignore)?).await })
}
