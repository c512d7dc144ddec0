//! The command `towline reload`.

use serde_json::{Value, json};

use super::{
    CommandError,
    sessions::{server, show},
    table::items,
};
use crate::{admin::AdminError, cli::AdminOptions};

/// The status of the answer about settings with problems.
const UNPROCESSABLE: u16 = 422;

/// Has the proxy read its settings again, and prints what has changed.
pub(super) fn reload(options: &AdminOptions) -> Result<(), CommandError> {
    let answer = server(options)?.post("/api/reload", &json!({})).map_err(|error| match error {
        AdminError::Refused(UNPROCESSABLE, text) => CommandError::Refused(text),
        error => error.into(),
    })?;
    show(options, &answer, text)
}

/// The changes, and the number of the configuration in force.
fn text(answer: &Value) -> String {
    let mut text = changes(answer);
    if text.is_empty() {
        text += "the settings are the same\n";
    }
    text + &format!("configuration {} is in force\n", answer["configuration"])
}

/// One line for each change, and one with the number of those that are left out.
pub(super) fn changes(reload: &Value) -> String {
    let value = |value: &Value| value.as_str().unwrap_or("unset").to_owned();
    let line = |change: &Value| {
        let (name, effect) = (value(&change["name"]), value(&change["effect"]));
        match change["what"].as_str() {
            Some(what) => format!("{name}: {what} ({effect})\n"),
            None => {
                format!("{name}: {} → {} ({effect})\n", value(&change["before"]), value(&change["after"]))
            }
        }
    };
    let text: String = items(&reload["changes"]).iter().map(line).collect();
    match reload["left_out"].as_u64() {
        None | Some(0) => text,
        Some(count) => format!("{text}{count} more\n"),
    }
}
