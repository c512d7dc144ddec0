//! Presets: one file per protocol, with its table of messages.

mod action_cable;
mod graphql;
mod graphql_transport_ws;
mod graphql_ws;
mod json_rpc;
mod openai_realtime;
mod phoenix;
pub(crate) mod stomp;

use crate::{
    json::{self, PatternError, Patterns},
    kind::{Dialect, FromClient, FromUpstream, Units},
    outcome::Heartbeat,
};

/// The protocol that a session speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protocol {
    /// A protocol that the settings describe.
    Patterns(Box<Patterns>),
    /// `program`: a protocol whose messages a program classifies
    Program,
    /// `graphql-transport-ws`
    GraphqlTransportWs,
    /// `graphql-ws`, the older protocol
    GraphqlWs,
    /// `json-rpc`
    JsonRpc {
        /// Methods besides the preset's that open a subscription, each with the one that ends it.
        more: Box<[(String, String)]>,
    },
    /// `action-cable`
    ActionCable,
    /// `phoenix`: joins are sent again
    Phoenix,
    /// `phoenix-nudge`: the client's library joins again
    PhoenixNudge,
    /// `stomp`
    Stomp,
    /// `openai-realtime`
    OpenaiRealtime,
    /// `mqtt`
    Mqtt,
}

impl Protocol {
    /// The names of the presets in the settings.
    pub const PRESETS: [&str; 10] = [
        "graphql-transport-ws",
        "graphql-ws",
        "json-rpc",
        "action-cable",
        "phoenix",
        "phoenix-nudge",
        "stomp",
        "openai-realtime",
        "mqtt",
        "program",
    ];

    /// The preset `name`.
    pub fn preset(name: &str) -> Option<Self> {
        Some(match name {
            "graphql-transport-ws" => Self::GraphqlTransportWs,
            "graphql-ws" => Self::GraphqlWs,
            "json-rpc" => Self::JsonRpc { more: Box::default() },
            "action-cable" => Self::ActionCable,
            "phoenix" => Self::Phoenix,
            "phoenix-nudge" => Self::PhoenixNudge,
            "stomp" => Self::Stomp,
            "openai-realtime" => Self::OpenaiRealtime,
            "mqtt" => Self::Mqtt,
            "program" => Self::Program,
            _ => return None,
        })
    }
}

/// The compiled rules of a protocol.
#[derive(Debug)]
pub(crate) enum Grammar {
    Json(Box<json::Rules>),
    Stomp,
    /// A program classifies the messages. The others pass.
    Program,
}

impl Grammar {
    /// The grammar of a protocol with whole messages; `None` for MQTT.
    ///
    /// # Errors
    /// When patterns of the settings are incomplete, or have more paths than a scan can find.
    pub(crate) fn new(protocol: &Protocol) -> Result<Option<Self>, PatternError> {
        let rules = match protocol {
            Protocol::Patterns(patterns) => json::Rules::new(patterns, Dialect::PLAIN)?,
            Protocol::GraphqlTransportWs => graphql_transport_ws::rules()?,
            Protocol::GraphqlWs => graphql_ws::rules()?,
            Protocol::JsonRpc { more } => json_rpc::rules(more)?,
            Protocol::ActionCable => action_cable::rules()?,
            Protocol::Phoenix => phoenix::rules(false)?,
            Protocol::PhoenixNudge => phoenix::rules(true)?,
            Protocol::OpenaiRealtime => openai_realtime::rules()?,
            Protocol::Stomp => return Ok(Some(Self::Stomp)),
            Protocol::Program => return Ok(Some(Self::Program)),
            Protocol::Mqtt => return Ok(None),
        };
        Ok(Some(Self::Json(Box::new(rules))))
    }

    pub(crate) fn dialect(&self) -> &Dialect {
        match self {
            Self::Json(rules) => &rules.dialect,
            Self::Stomp => &stomp::DIALECT,
            Self::Program => &Dialect::PLAIN,
        }
    }

    pub(crate) fn client<'a>(&self, text: &'a [u8]) -> FromClient<'a> {
        match self {
            Self::Json(rules) => rules.client(text),
            Self::Stomp => stomp::client(text),
            Self::Program => FromClient::Plain,
        }
    }

    pub(crate) fn upstream<'a>(&self, text: &'a [u8]) -> FromUpstream<'a> {
        match self {
            Self::Json(rules) => rules.upstream(text),
            Self::Stomp => stomp::upstream(text),
            Self::Program => FromUpstream::Plain,
        }
    }

    /// The heartbeat that a client expects, if its login and the answer to it agree on one.
    pub(crate) fn heartbeat(&self, hello: &[u8], accepted: &[u8]) -> Option<Heartbeat> {
        match self {
            Self::Json(rules) => rules.dialect.heartbeat.map(|heartbeat| heartbeat()),
            Self::Stomp => stomp::heartbeat(hello, accepted),
            Self::Program => None,
        }
    }

    /// What one message may consist of.
    pub(crate) fn units(&self) -> Units {
        match self {
            Self::Json(rules) if rules.batches => Units::Batch,
            Self::Json(_) | Self::Program => Units::One,
            Self::Stomp => Units::Frames,
        }
    }

    /// Whether [`Self::request_id`] created `request` for this generation.
    pub(crate) fn is_own_request(&self, generation: u64, request: &[u8]) -> bool {
        let own = self.request_id(generation, 0);
        let start = own.trim_end_matches(['0', '"']);
        self.dialect().own_requests && request.starts_with(start.as_bytes())
    }

    /// A request id of the replay, in the protocol's notation.
    pub(crate) fn request_id(&self, generation: u64, number: u64) -> String {
        match self {
            Self::Json(_) | Self::Program => format!("\"towline-{generation}-{number}\""),
            Self::Stomp => format!("towline-{generation}-{number}"),
        }
    }
}
