//! `towline check`

use std::io::{self, Write};

use super::{Failure, source};
use crate::{cli::Check, settings::Extent};

/// Checks the settings and prints them.
pub(super) fn check(options: &Check) -> Result<(), Failure> {
    let layers = source::layers(&options.source)?;
    layers.check()?;
    let extent = if options.changed { Extent::Changed } else { Extent::All };
    write!(io::stdout(), "{}", layers.report(extent))?;
    Ok(())
}
