//! The command `towline reloads`.

use serde_json::Value;

use super::{
    CommandError,
    reload::changes,
    sessions::{server, show, text},
    table::{items, visible},
};
use crate::cli::AdminOptions;

/// Lists the latest reloads.
pub(super) fn reloads(options: &AdminOptions) -> Result<(), CommandError> {
    let answer = server(options)?.get("/api/reloads")?;
    show(options, &answer, text_of_list)
}

/// A line for each reload, and below it one for each change or problem.
fn text_of_list(answer: &Value) -> String {
    let reloads = items(&answer["reloads"]);
    if reloads.is_empty() {
        return "no reload since the start\n".to_owned();
    }
    reloads.iter().map(text_of_one).collect()
}

fn text_of_one(reload: &Value) -> String {
    let outcome = match reload["configuration"].as_u64() {
        Some(number) => format!("configuration {number}"),
        None => "failed, nothing has changed".to_owned(),
    };
    let first = format!("{} by {}: {outcome}\n", text(&reload["at"]), text(&reload["by"]));
    let problems: String =
        items(&reload["problems"]).iter().map(|problem| format!("{}\n", text(problem))).collect();
    let lines = changes(reload) + &problems;
    first + &lines.lines().map(|line| format!("  {}\n", visible(line))).collect::<String>()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reload_has_its_changes_or_its_problems() {
        let change = json!({
            "name": "upstream.a.url", "what": null, "before": "\"ws://a\"", "after": null, "effect": "at once",
        });
        let done = json!({
            "number": 2, "at": "T2", "by": "SIGHUP", "configuration": 3, "changes": [change], "problems": [],
            "left_out": 1,
        });
        let failed = json!({
            "number": 1, "at": "T1", "by": "127.0.0.1:1", "configuration": null, "changes": [],
            "problems": ["upstream.a.url: missing\nin line 3"], "left_out": 0,
        });
        let text = text_of_list(&json!({ "reloads": [done, failed] }));
        assert_eq!(
            text,
            "T2 by SIGHUP: configuration 3\n  upstream.a.url: \"ws://a\" → unset (at once)\n  1 more\n\
             T1 by 127.0.0.1:1: failed, nothing has changed\n  upstream.a.url: missing\n  in line 3\n"
        );
        assert_eq!(text_of_list(&json!({ "reloads": [] })), "no reload since the start\n");
    }
}
