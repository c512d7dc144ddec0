//! The tables `rate` and `address_rate` of listeners, and the rates of `limits` of routes.

use crate::{
    rate::{OnLimit, Rate},
    settings::read::Section,
};

/// Reads the keys `NAME.messages` and so on, where `NAME` is `name`; without a name, `messages` and so on.
pub(crate) fn read(section: &Section<'_>, name: &str) -> Rate {
    let key = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
    let bytes = section.size(&key("bytes"));
    let on_limit = match section.choice(&key("on_limit")).as_deref() {
        Some("delay") => OnLimit::Delay,
        Some("close") => OnLimit::Close,
        _ => OnLimit::Error,
    };
    let rate = Rate {
        messages: section.cap(&key("messages")),
        bytes: (bytes > 0).then_some(bytes),
        burst: section.duration(&key("burst")),
        on_limit,
    };
    if rate.messages.is_none() && rate.bytes.is_none() {
        for idle in [key("burst"), key("on_limit")] {
            if section.said(&idle).is_some() {
                let text = format!("has no effect without {} or {}", key("messages"), key("bytes"));
                section.conflict(&idle, &[&key("messages"), &key("bytes")], text);
            }
        }
    }
    rate
}
