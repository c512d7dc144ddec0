//! The command `towline echo`.

use std::net::SocketAddr;

use super::{
    CommandError, block_on,
    signals::{self, Hangup},
    start_log,
};
use crate::{
    echo,
    log::{Config, Format},
};

/// Runs the echo server until a signal ends it.
pub(super) fn echo(bind: SocketAddr) -> Result<(), CommandError> {
    start_log(&Config { level: "info".to_owned(), format: Format::Text })?;
    block_on(async { echo::run(bind, signals::shutdown(Hangup::End)?).await })
}
