//! The tables `rate` and `address_rate` of listeners.

use crate::{
    rate::{OnLimit, Rate},
    settings::read::Section,
};

/// Reads the keys `NAME.messages` and so on, where `NAME` is `name`.
pub(crate) fn read(section: &Section<'_>, name: &str) -> Rate {
    let key = |key: &str| format!("{name}.{key}");
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
                let text = format!("has no effect without {name}.messages or {name}.bytes");
                section.conflict(&idle, &[&key("messages"), &key("bytes")], text);
            }
        }
    }
    rate
}
