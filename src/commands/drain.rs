//! The command `towline drain`.

use serde_json::{Value, json};

use super::{
    CommandError,
    sessions::{server, show},
};
use crate::cli::DrainProcess;

/// Has the proxy close its sessions and end.
pub(super) fn drain(options: &DrainProcess) -> Result<(), CommandError> {
    let answer = server(&options.admin)?.post("/api/drain", &json!({}))?;
    show(&options.admin, &answer, |answer: &Value| {
        format!("the proxy drains its {} sessions, and ends\n", answer["sessions"])
    })
}
