//! `towline check`

use super::{Failure, print, source};
use crate::{cli::Check, settings::Extent};

/// Checks the settings and prints them.
pub(super) fn check(options: &Check) -> Result<(), Failure> {
    let layers = source::layers(&options.source)?;
    layers.check()?;
    let extent = if options.changed { Extent::Changed } else { Extent::All };
    Ok(print(&layers.report(extent))?)
}
