//! The command `towline run`.

use super::{
    CommandError, block_on,
    signals::{self, Hangup},
    source, start_log,
};
use crate::{cli::Source, net::inherited, reload, settings::Loaded};

/// Runs the proxy until a signal ends it.
pub(super) fn run(source: &Source) -> Result<(), CommandError> {
    // First, because it changes the environment and no other thread may read that.
    inherited::inherit()?;
    let loaded = Loaded::check(source::layers(source)?)?;
    start_log(&loaded.settings.log)?;
    let source = source.clone();
    let requests =
        reload::requests(loaded.layers.clone(), move || Loaded::check(source::read_again(&source)?));
    block_on(async {
        let shutdown = signals::shutdown(Hangup::Reload(requests.handle()))?;
        crate::run(loaded, requests, shutdown).await
    })
}
