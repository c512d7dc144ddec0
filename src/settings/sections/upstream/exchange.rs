//! How replies are matched with events: the keys `exchange` and `correlation`, and keys that apply to replies
//! only.

use crate::settings::{read::Section, sections::format::Format};

/// How events and replies are matched (guarantee C1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExchangeMode {
    /// Each event awaits one reply.
    Request,
    /// An event is settled when it is written. No reply is awaited.
    Stream,
}

/// Reads the key `exchange`.
pub(crate) fn exchange(section: &Section<'_>) -> ExchangeMode {
    let exchange =
        if section.chooses("exchange", "request") { ExchangeMode::Request } else { ExchangeMode::Stream };
    for key in ["reply_timeout", "max_overdue"] {
        if exchange == ExchangeMode::Stream && section.said(key).is_some() {
            let text = "needs exchange = \"request\": in a stream no event awaits a reply";
            section.conflict(key, &["exchange"], text);
        }
    }
    exchange
}

/// Reads the key `correlation` as a path; `None` if it is not set or invalid.
pub(crate) fn correlation(
    section: &Section<'_>,
    exchange: ExchangeMode,
    format: Option<&Format>,
) -> Option<Vec<String>> {
    let path = section.text("correlation").filter(|path| !path.is_empty())?;
    let keys: Vec<_> = path.split('.').map(str::to_owned).collect();
    if keys.iter().any(|key| key.is_empty() || key.contains(char::is_whitespace)) {
        section.problem("correlation", "takes keys separated by dots, such as \"id\" or \"params.id\"");
    }
    if exchange != ExchangeMode::Request {
        let text = "needs exchange = \"request\": in a stream no event awaits a reply";
        section.conflict("correlation", &["exchange"], text);
    }
    if format.is_some_and(|format| format.codec.name() != "json") {
        let text = "needs codec = \"json\": other codecs have no keys";
        section.conflict("correlation", &["codec"], text);
    }
    Some(keys)
}
