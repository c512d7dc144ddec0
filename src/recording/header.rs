//! The first line of a record.

use std::time::SystemTime;

use serde_json::{Value, json};

/// The version of the format. A reader refuses a record with a later one.
const FORMAT: u64 = 1;

/// What made a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The version of the program.
    pub version: String,
    /// A digest of the proxy's settings with masked secrets; `None` if it is not known.
    pub settings: Option<String>,
}

/// A file that is not a record of a tap.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotARecord {
    /// The first line is another one.
    #[error("the first line is not that of a record; make one with towline tap --record FILE")]
    NoHeader,
    /// The record is in a later format.
    #[error("the record has format {0}, and this version reads format {FORMAT}")]
    Later(u64),
}

impl Header {
    /// The line, without its end.
    pub fn line(&self, now: SystemTime) -> String {
        let time = humantime::format_rfc3339_micros(now).to_string();
        let mut line = json!({ "towline_record": FORMAT, "version": self.version, "time": time });
        if let Some(settings) = &self.settings {
            line["settings"] = json!(settings);
        }
        line.to_string()
    }

    /// Parses the first line of a record.
    ///
    /// # Errors
    /// When the line is another one, or the record has a later format.
    pub fn parse(line: &str) -> Result<Self, NotARecord> {
        let value: Value = serde_json::from_str(line).map_err(|_| NotARecord::NoHeader)?;
        let format = value.get("towline_record").and_then(Value::as_u64).ok_or(NotARecord::NoHeader)?;
        if format > FORMAT {
            return Err(NotARecord::Later(format));
        }
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        Ok(Self { version: text("version").unwrap_or_default(), settings: text("settings") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_back() {
        for settings in [None, Some("sha256:00".to_owned())] {
            let header = Header { version: "0.1.0".to_owned(), settings };
            assert_eq!(Header::parse(&header.line(SystemTime::UNIX_EPOCH)), Ok(header));
        }
        assert_eq!(Header::parse("{\"time\":\"x\"}"), Err(NotARecord::NoHeader));
        assert_eq!(Header::parse("hello"), Err(NotARecord::NoHeader));
        assert_eq!(Header::parse("{\"towline_record\":2}"), Err(NotARecord::Later(2)));
    }
}
