//! `towline check`

use std::io::{self, Write};

use super::{Failure, print, source};
use crate::{cli::Check, settings::Extent};

/// Checks the settings and prints them. Warnings go to standard error, so that the output can be fed back.
pub(super) fn check(options: &Check) -> Result<(), Failure> {
    let layers = source::layers(&options.source)?;
    let settings = layers.check()?;
    let warnings: Vec<_> = settings.warnings().map(ToString::to_string).collect();
    if options.strict && !warnings.is_empty() {
        return Err(Failure::Warnings(warnings.join("\n\n")));
    }
    for warning in warnings {
        writeln!(io::stderr(), "{warning}\n")?;
    }
    let extent = if options.changed { Extent::Changed } else { Extent::All };
    Ok(print(&layers.report(extent))?)
}
