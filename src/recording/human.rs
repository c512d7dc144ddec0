//! A line of a tap for a person at a terminal.

use super::{Entry, RecordedLine, RecordedPayload};
use crate::printable::Printable;

/// Maximum number of characters of a payload in a line.
const SHOWN_MAX: usize = 200;

/// The line for a person; `None` for a line of another kind.
pub fn human(entry: &Entry) -> Option<String> {
    match entry {
        Entry::Line(line) => Some(of_line(line)),
        Entry::Lost(count) => Some(format!("… {count} lines lost: this reader is too slow")),
        Entry::Skipped(count) => {
            Some(format!("… {count} lines skipped: the condition has no result for them"))
        }
        Entry::Other => None,
    }
}

fn of_line(line: &RecordedLine) -> String {
    let time = humantime::format_rfc3339_micros(line.time).to_string();
    let time = time.split_once('T').map_or(time.as_str(), |(_, time)| time).trim_end_matches('Z');
    let id = line.event.as_deref().unwrap_or(&line.session);
    let what = match &line.outcome {
        Some(outcome) => {
            let reason = outcome.reason.as_ref();
            let reason = reason.map(|(kind, text)| format!(" {kind}: {}", Printable(text)));
            let duration = outcome.duration.map(|time| format!(" in {:.1} ms", time.as_secs_f64() * 1e3));
            format!("{}{}{}", outcome.outcome, duration.unwrap_or_default(), reason.unwrap_or_default())
        }
        None => {
            let kind = if line.binary { "binary" } else { "text" };
            format!("{} {kind} {} B{}", line.role, line.bytes, payload(&line.payload))
        }
    };
    // A record may come from elsewhere, so no part of it is trusted.
    Printable(&format!("{time} {id:<10} {:<13} {what}", line.direction)).to_string()
}

fn payload(payload: &RecordedPayload) -> String {
    match payload {
        RecordedPayload::None => String::new(),
        RecordedPayload::Withheld => " (withheld: a credential)".to_owned(),
        RecordedPayload::Whole(bytes)
        | RecordedPayload::Redacted(bytes)
        | RecordedPayload::Truncated(bytes) => {
            let text = String::from_utf8_lossy(bytes);
            let end = text.char_indices().nth(SHOWN_MAX).map_or(text.len(), |(end, _)| end);
            let shown = Printable(&text[..end]);
            let is_cut = end < text.len() || matches!(payload, RecordedPayload::Truncated(_));
            format!("  {shown}{}", if is_cut { "…" } else { "" })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str) -> String {
        human(&Entry::parse(line).unwrap()).unwrap()
    }

    #[test]
    fn a_line_fits_a_terminal() {
        let line = r#"{"time":"2026-09-21T14:13:20.123456Z","session":"1:0","event":"1:0:9","direction":"to_client","stage":"message","role":"reply","kind":"text","bytes":6,"payload":"a\u001b[1m\n"}"#;
        assert_eq!(shown(line), "14:13:20.123456 1:0:9      to_client     reply text 6 B  a\\u{1b}[1m\\n");
        let outcome = r#"{"time":"2026-09-21T14:13:20.123456Z","session":"1:0","event":"1:0:9","direction":"outcome","outcome":"errored","stage":"upstream","failure":"no_reply","reason":"late","duration_us":2500}"#;
        assert_eq!(
            shown(outcome),
            "14:13:20.123456 1:0:9      outcome       errored in 2.5 ms no_reply: late"
        );
        assert!(shown(r#"{"lost":7}"#).contains("7 lines lost"));
        assert_eq!(human(&Entry::Other), None);
    }

    #[test]
    fn a_long_payload_is_cut() {
        let payload = "x".repeat(SHOWN_MAX + 1);
        let line = format!(
            r#"{{"time":"2026-09-21T14:13:20.123456Z","session":"1:0","direction":"to_client","stage":"message","role":"push","kind":"text","bytes":201,"payload":"{payload}"}}"#
        );
        assert!(shown(&line).ends_with("xx…"));
    }
}
