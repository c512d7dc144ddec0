//! The command `towline configuration`.

use serde_json::json;

use super::{
    CommandError,
    sessions::{server, show, text},
};
use crate::cli::AdminOptions;

/// Prints the settings in force. They are TOML, so in JSON they are one text.
pub(super) fn configuration(options: &AdminOptions) -> Result<(), CommandError> {
    let settings = server(options)?.get_text("/api/configuration")?;
    show(options, &json!({ "configuration": settings }), |answer| text(&answer["configuration"]))
}
