//! The sections `[listener.NAME]` of the settings.

mod tls;

use std::{sync::Arc, time::Duration};

use super::{
    address,
    admission::{self, Admission},
    behind,
    format::{self, Format},
    limits, liveness, rate,
    slow_consumer::{self, SlowConsumer},
    tcp,
};
use crate::{
    client_address::{ProxyProtocol, TrustedProxies},
    net::{Bind, TcpOptions, TlsServer},
    rate::Rate,
    settings::read::Section,
    wire,
};

/// A section `[listener.NAME]`: the addresses that accept clients.
#[derive(Debug, Clone)]
pub struct Listener {
    /// The `NAME` of the section.
    pub name: String,
    /// The listener's position in the settings, from 1. It is the `source` of event ids.
    pub number: u32,
    /// A digest of what a live session of the listener cannot change; see [`reload`](crate::reload).
    pub shape: u64,
    /// The addresses to listen on.
    pub bind: Vec<Bind>,
    /// TLS for its clients; `None` without TLS.
    pub tls: Option<TlsServer>,
    /// Whether connections begin with a PROXY header.
    pub proxy_protocol: ProxyProtocol,
    /// The proxies in front of the listener.
    pub trusted_proxies: TrustedProxies,
    /// How clients' messages become events, and back.
    pub format: Format,
    /// Limits on clients' messages.
    pub limits: wire::Limits,
    /// Maximum size of the head of a handshake request, in bytes.
    pub max_header: usize,
    /// Limits on the number and rate of sessions.
    pub admission: Admission,
    /// How long a client may take for its handshake.
    pub handshake_timeout: Duration,
    /// When a client counts as gone (guarantee C8).
    pub liveness: wire::LivenessConfig,
    /// What happens to a client that does not read.
    pub slow_consumer: SlowConsumer,
    /// TCP options of clients' sockets.
    pub tcp: TcpOptions,
    /// How long a closing handshake may take before the connection is cut.
    pub close_timeout: Duration,
    /// What happens to unsettled events when their client closes.
    pub on_client_close: OnClientClose,
    /// Rate limit per session.
    pub rate: Rate,
    /// Rate limit for all sessions of one client address together.
    pub address_rate: Rate,
}

/// What happens to unsettled events when their client closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnClientClose {
    /// The events have `close_timeout` to settle.
    Finish,
    /// The events fail at once.
    Cancel,
}

/// The names of the listeners that ask clients for certificates.
pub(crate) fn asking_for_certificates<'a>(sections: &[(&'a str, Section<'_>)]) -> Vec<&'a str> {
    let asking = sections.iter().filter(|(_, section)| section.said("tls.client_ca").is_some());
    asking.map(|(name, _)| *name).collect()
}

/// Reads the listeners in order. An invalid listener is included without a value.
pub(crate) fn read_all(
    sections: &[(&str, Section<'_>)],
    taken: &mut Vec<(String, Bind)>,
) -> Vec<Option<Arc<Listener>>> {
    let mut listeners = Vec::new();
    for (number, (name, section)) in (1..).zip(sections) {
        let listener = read(name, number, section);
        if let Some(listener) = &listener {
            address::take(taken, section, &listener.bind);
        }
        listeners.push(listener.map(Arc::new));
    }
    listeners
}

fn read(name: &str, number: u32, section: &Section<'_>) -> Option<Listener> {
    let bind = section.read("bind", |value| address::parse_all(value, section.host()));
    let tls = tls::read(section);
    let (proxy_protocol, trusted_proxies) = behind::proxies(section);
    let format = format::read(section);
    let limits = limits::read(section);
    let handshake_timeout = section.duration("handshake_timeout");
    let close_timeout = section.duration("close_timeout");
    let liveness = liveness::read(section, section.timeout("idle_timeout"));
    let slow_consumer = slow_consumer::read(section);
    let tcp = tcp::read(section);
    slow_consumer::check(section, &liveness, slow_consumer, &tcp);
    let cancels = section.chooses("on_client_close", "cancel");
    let on_client_close = if cancels { OnClientClose::Cancel } else { OnClientClose::Finish };
    Some(Listener {
        name: name.to_owned(),
        number,
        shape: 0,
        bind: bind?,
        tls,
        proxy_protocol,
        trusted_proxies,
        format: format?,
        limits,
        max_header: section.size("max_header"),
        admission: admission::read(section),
        handshake_timeout,
        liveness,
        slow_consumer,
        tcp,
        close_timeout,
        on_client_close,
        rate: rate::read(section, "rate"),
        address_rate: rate::read(section, "address_rate"),
    })
}
