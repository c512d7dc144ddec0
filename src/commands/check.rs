//! `towline check`

use std::{
    io::{self, Write},
    path::Path,
};

use super::Failure;
use crate::settings::{self, Extent, Layers};

/// Checks the settings and prints them.
pub(super) fn check(config: Option<&Path>) -> Result<(), Failure> {
    let layers = Layers::read(config, settings::environment())?;
    layers.check()?;
    write!(io::stdout(), "{}", layers.report(Extent::All))?;
    Ok(())
}
