//! Keys that set limits: admission, liveness, rates.

use super::{Admission, SlowConsumer, read::Section, validate::to_usize};
use crate::{
    net::TcpOptions,
    rate::{OnLimit, Rate},
    wire::LivenessConfig,
};

/// A count; `None` for 0, which means no limit.
fn cap(section: &Section<'_>, name: &str) -> Option<usize> {
    let count = section.count(name);
    (count > 0).then(|| to_usize(count))
}

pub(super) fn admission(section: &Section<'_>) -> Admission {
    let admission = Admission {
        max_sessions: cap(section, "max_sessions"),
        max_sessions_per_address: cap(section, "max_sessions_per_address"),
        max_new_sessions: u32::try_from(section.count("max_new_sessions")).ok().filter(|count| *count > 0),
    };
    if let (Some(all), Some(of_one)) = (admission.max_sessions, admission.max_sessions_per_address)
        && of_one > all
    {
        let text = format!("is above max_sessions, which is {all}: it would never be reached");
        section.conflict("max_sessions_per_address", &["max_sessions"], text);
    }
    admission
}

pub(super) fn liveness(section: &Section<'_>, idle_timeout: Option<std::time::Duration>) -> LivenessConfig {
    let liveness = LivenessConfig {
        ping_interval: section.timeout("ping_interval"),
        ping_timeout: section.duration("ping_timeout"),
        idle_timeout,
        slow_consumer_timeout: section.timeout("slow_consumer_timeout"),
    };
    if liveness.ping_interval.is_none() && section.said("ping_timeout").is_some() {
        let text = "has no effect with ping_interval = \"never\": there are no pings";
        section.conflict("ping_timeout", &["ping_interval"], text);
    }
    liveness
}

pub(super) fn slow_consumer(section: &Section<'_>) -> SlowConsumer {
    match section.choice("slow_consumer").as_deref() {
        Some("drop_oldest") => SlowConsumer::DropOldest,
        Some("drop_newest") => SlowConsumer::DropNewest,
        _ => SlowConsumer::Disconnect,
    }
}

pub(super) fn tcp(section: &Section<'_>) -> TcpOptions {
    TcpOptions {
        keepalive: section.timeout("tcp_keepalive"),
        user_timeout: section.timeout("tcp_user_timeout"),
    }
}

/// The kernel must not end a connection before the slow-consumer policy has had its time.
pub(super) fn check_slow_consumer(
    section: &Section<'_>,
    liveness: &LivenessConfig,
    policy: SlowConsumer,
    tcp: &TcpOptions,
) {
    if policy != SlowConsumer::Disconnect && liveness.slow_consumer_timeout.is_none() {
        let text = format!("is \"never\", so that slow_consumer = \"{policy}\" would never begin");
        section.conflict("slow_consumer_timeout", &["slow_consumer"], text);
    }
    let Some(kernel) = tcp.user_timeout else { return };
    if policy != SlowConsumer::Disconnect {
        let text = format!(
            "ends a client that does not read, which slow_consumer = \"{policy}\" keeps: must be \"never\""
        );
        section.conflict("tcp_user_timeout", &["slow_consumer"], text);
    } else if let Some(slow) = liveness.slow_consumer_timeout
        && kernel < slow
    {
        let slow = humantime::format_duration(slow);
        let text = format!("is below slow_consumer_timeout, which is {slow}");
        section.conflict("tcp_user_timeout", &["slow_consumer", "slow_consumer_timeout"], text);
    }
}

/// Reads the keys `NAME.messages` and so on.
pub(super) fn rate(section: &Section<'_>, name: &str) -> Rate {
    let key = |key: &str| format!("{name}.{key}");
    let bytes = section.size(&key("bytes"));
    let messages = u32::try_from(section.count(&key("messages"))).unwrap_or(u32::MAX);
    let on_limit = match section.choice(&key("on_limit")).as_deref() {
        Some("delay") => OnLimit::Delay,
        Some("close") => OnLimit::Close,
        _ => OnLimit::Error,
    };
    let rate = Rate {
        messages: (messages > 0).then_some(messages),
        bytes: (bytes > 0).then_some(bytes),
        burst: section.duration(&key("burst")),
        on_limit,
    };
    if rate.messages.is_none() && rate.bytes.is_none() {
        for idle in [key("burst"), key("on_limit")] {
            if section.said(&idle).is_some() {
                let text = format!("does nothing without {name}.messages or {name}.bytes");
                section.conflict(&idle, &[&key("messages"), &key("bytes")], text);
            }
        }
    }
    rate
}
