//! The command `towline drain`.

use serde_json::{Value, json};

use super::{
    CommandError,
    sessions::{server, show},
    table::counted,
};
use crate::cli::AdminOptions;

/// Has the proxy close its sessions and end.
pub(super) fn drain(options: &AdminOptions) -> Result<(), CommandError> {
    let answer = server(options)?.post("/api/drain", &json!({}))?;
    show(options, &answer, |answer: &Value| {
        format!("the proxy drains its {}, and ends\n", counted(&answer["sessions"], "session", "sessions"))
    })
}
