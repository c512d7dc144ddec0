//! Export as HAR 1.2, with WebSocket messages in `_webSocketMessages`, as the developer tools of browsers have them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine, engine::general_purpose::STANDARD};
use indexmap::IndexMap;
use serde_json::{Value, json};

use super::{RecordedLine, RecordedPayload};

/// Maximum size of the messages of an export, in bytes. A HAR is one JSON document, so it is built in memory.
const BYTES_MAX: usize = 256 << 20;

/// The memory of a message besides its payload, in bytes, estimated.
const MESSAGE_COST: usize = 512;

/// A HAR that grows line by line. Each session is an entry.
#[derive(Debug, Default)]
pub struct Har {
    sessions: IndexMap<String, HarSession>,
    bytes: usize,
}

#[derive(Debug)]
struct HarSession {
    listener: String,
    route: String,
    begin: SystemTime,
    end: SystemTime,
    messages: Vec<Value>,
}

/// The error for more messages than an export may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a HAR takes at most {} MiB of messages", BYTES_MAX >> 20)]
pub struct TooLarge;

// === impl Har ===

impl Har {
    /// Adds a line. Lines other than messages between client and proxy are ignored.
    ///
    /// # Errors
    /// When the export is full. The line is not added.
    pub fn add(&mut self, line: &RecordedLine) -> Result<(), TooLarge> {
        if !line.is_client_message() {
            return Ok(());
        }
        let message = message(line);
        let size = message.get("data").and_then(Value::as_str).map_or(0, str::len);
        if self.bytes + size + MESSAGE_COST > BYTES_MAX {
            return Err(TooLarge);
        }
        self.bytes += size + MESSAGE_COST;
        let session = self.sessions.entry(line.session.clone()).or_insert_with(|| HarSession {
            listener: line.listener.clone(),
            route: line.route.clone(),
            begin: line.time,
            end: line.time,
            messages: Vec::new(),
        });
        session.end = session.end.max(line.time);
        session.messages.push(message);
        Ok(())
    }

    /// One that takes no more messages.
    #[cfg(test)]
    pub fn full() -> Self {
        Self { bytes: BYTES_MAX, ..Self::default() }
    }

    /// The document.
    pub fn document(&self, version: &str) -> Value {
        let entries: Vec<_> = self.sessions.iter().map(|(id, session)| session.entry(id)).collect();
        json!({
            "log": {
                "version": "1.2",
                "creator": { "name": "Towline", "version": version },
                "pages": [],
                "entries": entries,
            }
        })
    }
}

/// The direction is that of the client: it sends what the proxy receives.
fn message(line: &RecordedLine) -> Value {
    let data = match (&line.payload, line.binary) {
        (RecordedPayload::None | RecordedPayload::Withheld, _) => String::new(),
        (payload, true) => STANDARD.encode(payload.bytes().unwrap_or_default()),
        (payload, false) => String::from_utf8_lossy(payload.bytes().unwrap_or_default()).into_owned(),
    };
    json!({
        "type": if line.direction == "from_client" { "send" } else { "receive" },
        "time": seconds(line.time),
        "opcode": if line.binary { 2 } else { 1 },
        "data": data,
    })
}

fn seconds(time: SystemTime) -> f64 {
    // Whole microseconds are exact in a float for centuries.
    let micros = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_micros();
    micros as f64 / 1e6
}

impl HarSession {
    fn entry(&self, id: &str) -> Value {
        let time = self.end.duration_since(self.begin).unwrap_or_default().as_secs_f64() * 1e3;
        json!({
            "startedDateTime": humantime::format_rfc3339_millis(self.begin).to_string(),
            "time": time,
            "request": {
                "method": "GET",
                // A tap does not show URLs, because they may contain credentials.
                "url": format!("ws://{}.towline.invalid/{}", self.listener, self.route),
                "httpVersion": "HTTP/1.1",
                "headers": [],
                "queryString": [],
                "cookies": [],
                "headersSize": -1,
                "bodySize": -1,
            },
            "response": {
                "status": 101,
                "statusText": "Switching Protocols",
                "httpVersion": "HTTP/1.1",
                "headers": [],
                "cookies": [],
                "content": { "size": 0, "mimeType": "x-unknown" },
                "redirectURL": "",
                "headersSize": -1,
                "bodySize": -1,
            },
            "cache": {},
            "timings": { "blocked": -1, "dns": -1, "ssl": -1, "connect": -1, "send": 0, "wait": 0, "receive": time },
            "connection": id,
            "_resourceType": "websocket",
            "_webSocketMessages": self.messages,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::Entry;

    fn line(session: &str, direction: &str, kind: &str, payload: &str) -> RecordedLine {
        let encoding = if kind == "binary" { r#","encoding":"base64""# } else { "" };
        let text = format!(
            r#"{{"time":"2026-09-21T14:13:20.123456Z","session":"{session}","listener":"ws","route":"main","direction":"{direction}","stage":"message","role":"push","kind":"{kind}","bytes":3,"payload":"{payload}"{encoding}}}"#
        );
        let Ok(Entry::Line(line)) = Entry::parse(&text) else { panic!("no line") };
        *line
    }

    /// The fields that HAR 1.2 requires of each entry.
    #[test]
    fn the_document_has_the_shape_of_a_har() {
        let mut har = Har::default();
        for line in [
            line("1:0", "from_client", "text", "hello"),
            line("1:1", "from_client", "text", "x"),
            line("1:0", "to_client", "binary", "AP8B"),
            line("1:0", "to_upstream", "text", "not shown"),
        ] {
            har.add(&line).unwrap();
        }
        let document = har.document("0.1.0");
        let log = &document["log"];
        assert_eq!((&log["version"], &log["creator"]["name"]), (&json!("1.2"), &json!("Towline")));
        let entries = log["entries"].as_array().unwrap();
        assert_eq!(entries.len(), 2);
        for entry in entries {
            for key in ["startedDateTime", "time", "request", "response", "cache", "timings"] {
                assert!(entry.get(key).is_some(), "{key}");
            }
            for key in [
                "method",
                "url",
                "httpVersion",
                "cookies",
                "headers",
                "queryString",
                "headersSize",
                "bodySize",
            ] {
                assert!(entry["request"].get(key).is_some(), "{key}");
            }
            for key in ["status", "statusText", "httpVersion", "cookies", "headers", "content", "redirectURL"]
            {
                assert!(entry["response"].get(key).is_some(), "{key}");
            }
            assert_eq!(entry["_resourceType"], "websocket");
        }
        assert_eq!(
            entries[0]["_webSocketMessages"],
            json!([
                { "type": "send", "time": 1_790_000_000.123_456, "opcode": 1, "data": "hello" },
                { "type": "receive", "time": 1_790_000_000.123_456, "opcode": 2, "data": "AP8B" },
            ])
        );
    }

    #[test]
    fn an_export_has_a_limit() {
        let mut har = Har { bytes: BYTES_MAX - 100, ..Har::default() };
        assert_eq!(har.add(&line("1:0", "from_client", "text", "hello")), Err(TooLarge));
    }
}
