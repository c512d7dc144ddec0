//! The failure of the program, in the format of the log.

use std::{io, time::SystemTime};

use log::Level;

use super::{FORMAT, Format, LogLine, print, target};

/// The variable with the format of the lines that the process writes before it knows its settings.
pub const REPORT_FORMAT: &str = "TOWLINE_REPORT_FORMAT";

/// Reports the failure of the program, as [`print()`] does. If lines of the log are JSON, these lines are too, because
/// the collector of the log expects only JSON.
///
/// # Errors
/// When standard error cannot be used at all.
pub fn report(text: &str) -> io::Result<()> {
    print(&reported(text, format()))
}

/// The format of lines: that of the settings, or before they are known that of the process that this one replaces.
pub fn format() -> Format {
    let inherited = || std::env::var(REPORT_FORMAT).is_ok_and(|format| format == Format::Json.name());
    FORMAT.get().copied().unwrap_or_else(|| if inherited() { Format::Json } else { Format::Text })
}

fn reported(text: &str, format: Format) -> String {
    let mut out = Vec::new();
    match format {
        Format::Text => out.extend_from_slice(format!("towline: {text}\n").as_bytes()),
        Format::Json => {
            for message in text.lines().filter(|line| !line.trim().is_empty()) {
                let target = target(module_path!());
                let line = LogLine { time: SystemTime::now(), level: Level::Error, target, message };
                // Writing to memory does not fail.
                let _ = line.write(format, &mut out);
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_a_line_of_text_or_lines_of_json() {
        let text = "2 errors in the settings:\n\n  listener.ws.bind: \"x\"\n";
        assert_eq!(reported("cannot listen", Format::Text), "towline: cannot listen\n");
        assert_eq!(reported(text, Format::Text), format!("towline: {text}\n"));
        let lines = reported(text, Format::Json);
        let messages: Vec<_> = lines
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .map(|line| (line["level"].clone(), line["message"].as_str().unwrap().to_owned()))
            .collect();
        assert_eq!(messages.len(), 2);
        assert_eq!(messages[0], ("ERROR".into(), "2 errors in the settings:".to_owned()));
        assert_eq!(messages[1].1, "  listener.ws.bind: \"x\"");
    }
}
