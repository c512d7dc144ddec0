//! The two protocols of the chaos test: JSON-RPC by its preset, and one that patterns in the settings describe.

use crate::harness::{Value, json};

/// A protocol of numbered topics, as clients and upstreams write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// The preset `json-rpc`: ids of subscriptions are strings, and each message has an answer.
    JsonRpc,
    /// Patterns: a login, ids of subscriptions are numbers, messages have a cursor, and a subscription may ask for
    /// the messages after one.
    Patterns,
}

/// A client's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    Login,
    /// `token` is unique. `since`: the number after which the topic's messages are wanted.
    Open {
        request: u64,
        topic: usize,
        token: u64,
        since: Option<u64>,
    },
    /// `request` is `None` where the protocol has no answer to it.
    Close {
        request: Option<u64>,
        id: Value,
    },
    Call {
        request: u64,
    },
}

/// An upstream's message, or the proxy's.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    LoggedIn,
    Opened {
        request: u64,
        id: Value,
        resumed: bool,
    },
    Answered {
        request: u64,
    },
    Failed {
        request: u64,
        text: String,
    },
    Data {
        id: Value,
        topic: usize,
        token: u64,
        number: u64,
    },
    /// An error reply that names an event instead of a request.
    Error {
        event: String,
        text: String,
    },
    Gap(Gap),
}

/// A gap notice.
#[derive(Debug, Clone, PartialEq)]
pub struct Gap {
    /// The subscription's id and key; `None` when the notice is for the whole session.
    pub entry: Option<(Value, Value)>,
    /// The times of its beginning and end.
    pub times: (String, String),
    pub generation: u64,
    pub lost: Value,
}

// === impl Protocol ===

impl Protocol {
    /// The lines of the settings for `upstream.NAME.recovery`.
    pub fn recovery(self) -> &'static [&'static str] {
        match self {
            Self::JsonRpc => &[r#"preset = "json-rpc""#],
            Self::Patterns => &[
                // An error would not name the request that has failed.
                r#"hold = "20s""#,
                r#"in_flight = "retry""#,
                r#"hello = [{ when = { op = "login" } }]"#,
                r#"accepted = [{ when = { op = "logged_in" } }]"#,
                r#"open = [{ when = { op = "open", since = "*" }, request = "request", key = "topic", resume = "since" }, { when = { op = "open" }, request = "request", key = "topic" }]"#,
                r#"close = [{ when = { op = "close" }, id = "id" }]"#,
                r#"request = [{ when = { op = "call" }, request = "request" }]"#,
                r#"answer = [{ when = { op = "opened" }, request = "request", id = "id", resumed = { resumed = true } }, { when = { op = "answered" }, request = "request" }]"#,
                r#"refused = [{ when = { op = "refused" }, request = "request" }]"#,
                r#"data = [{ when = { op = "data" }, id = "id", cursor = "number", numbered = true }]"#,
            ],
        }
    }

    /// Whether a client logs in first.
    pub fn has_login(self) -> bool {
        self == Self::Patterns
    }

    /// Whether an error names the request that has failed. Otherwise it names an event.
    pub fn names_failures(self) -> bool {
        self == Self::JsonRpc
    }

    /// Whether an upstream may continue a subscription where it was interrupted.
    pub fn resumes(self) -> bool {
        self == Self::Patterns
    }

    /// A subscription id that the upstream assigns.
    pub fn id(self, number: u64) -> Value {
        match self {
            Self::JsonRpc => json!(format!("0x{number:x}")),
            Self::Patterns => json!(number),
        }
    }

    /// What a notice calls a subscription.
    pub fn key(self, topic: usize, token: u64) -> Value {
        match self {
            Self::JsonRpc => json!(["topic", {"topic": topic, "token": token}]),
            Self::Patterns => json!(topic),
        }
    }

    pub fn write_request(self, request: &Request) -> String {
        let rpc = |id: u64, method: &str, params: Value| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let value = match (self, request) {
            (_, Request::Login) => json!({"op": "login", "token": "secret"}),
            (Self::JsonRpc, Request::Open { request, topic, token, .. }) => {
                rpc(*request, "eth_subscribe", self.key(*topic, *token))
            }
            (Self::JsonRpc, Request::Close { request, id }) => {
                rpc(request.expect("closes have answers"), "eth_unsubscribe", json!([id]))
            }
            (Self::JsonRpc, Request::Call { request }) => rpc(*request, "eth_call", json!([])),
            (Self::Patterns, Request::Open { request, topic, token, since: None }) => {
                json!({"op": "open", "request": request, "topic": topic, "token": token})
            }
            (Self::Patterns, Request::Open { request, topic, token, since }) => {
                json!({"op": "open", "request": request, "topic": topic, "token": token, "since": since})
            }
            (Self::Patterns, Request::Close { id, .. }) => json!({"op": "close", "id": id}),
            (Self::Patterns, Request::Call { request }) => json!({"op": "call", "request": request}),
        };
        value.to_string()
    }

    /// Reads a client's message as the upstream receives it. Also returns the request id as it is written, because a
    /// replay may use other ids.
    pub fn read_request(self, text: &str) -> (Request, Value) {
        let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("no number: {text}"));
        let (key, kind) = match self {
            Self::JsonRpc => ("id", value["method"].as_str()),
            Self::Patterns => ("request", value["op"].as_str()),
        };
        let written = value[key].clone();
        let request = written.as_u64().unwrap_or_default();
        let read = match kind.unwrap_or_default() {
            "login" => Request::Login,
            "eth_subscribe" => {
                let topic = &value["params"][1];
                let (topic, token) = (number(&topic["topic"]) as usize, number(&topic["token"]));
                Request::Open { request, topic, token, since: None }
            }
            "open" => {
                let (topic, token) = (number(&value["topic"]) as usize, number(&value["token"]));
                Request::Open { request, topic, token, since: value["since"].as_u64() }
            }
            "eth_unsubscribe" => Request::Close { request: Some(request), id: value["params"][0].clone() },
            "close" => Request::Close { request: None, id: value["id"].clone() },
            "eth_call" | "call" => Request::Call { request },
            _ => panic!("unknown request: {text}"),
        };
        (read, written)
    }

    /// `written`: the id of the request as it was read.
    pub fn write_opened(self, written: &Value, id: &Value, resumed: bool) -> String {
        match self {
            Self::JsonRpc => json!({"jsonrpc": "2.0", "id": written, "result": id}).to_string(),
            Self::Patterns => {
                json!({"op": "opened", "request": written, "id": id, "resumed": resumed}).to_string()
            }
        }
    }

    /// Refuses to open a subscription.
    pub fn write_refused(self, written: &Value) -> String {
        match self {
            Self::JsonRpc => {
                let error = json!({"code": -32005, "message": "refused"});
                json!({"jsonrpc": "2.0", "id": written, "error": error}).to_string()
            }
            Self::Patterns => json!({"op": "refused", "request": written}).to_string(),
        }
    }

    pub fn write_answered(self, written: &Value) -> String {
        match self {
            Self::JsonRpc => json!({"jsonrpc": "2.0", "id": written, "result": true}).to_string(),
            Self::Patterns => json!({"op": "answered", "request": written}).to_string(),
        }
    }

    pub fn write_data(self, id: &Value, topic: usize, token: u64, number: u64) -> String {
        match self {
            Self::JsonRpc => {
                let result = json!({"topic": topic, "token": token, "number": number});
                let params = json!({"subscription": id, "result": result});
                json!({"jsonrpc": "2.0", "method": "eth_subscription", "params": params}).to_string()
            }
            Self::Patterns => {
                json!({"op": "data", "id": id, "topic": topic, "token": token, "number": number}).to_string()
            }
        }
    }

    /// Reads what a client receives.
    pub fn read_reply(self, text: &str) -> Reply {
        let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        if let Some(event) = value["event_id"].as_str() {
            return proxys_own(&value, event);
        }
        let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("no number: {text}"));
        let data = |value: &Value, id: &Value| Reply::Data {
            id: id.clone(),
            topic: number(&value["topic"]) as usize,
            token: number(&value["token"]),
            number: number(&value["number"]),
        };
        if self == Self::Patterns {
            return match value["op"].as_str().unwrap_or_default() {
                "logged_in" => Reply::LoggedIn,
                "opened" => Reply::Opened {
                    request: number(&value["request"]),
                    id: value["id"].clone(),
                    resumed: value["resumed"] == true,
                },
                "refused" => Reply::Failed { request: number(&value["request"]), text: "refused".into() },
                "answered" => Reply::Answered { request: number(&value["request"]) },
                "data" => data(&value, &value["id"]),
                _ => panic!("unknown reply: {text}"),
            };
        }
        if value["method"] == "eth_subscription" {
            return data(&value["params"]["result"], &value["params"]["subscription"]);
        }
        let request = number(&value["id"]);
        match (&value["error"]["message"], &value["result"]) {
            (Value::String(text), _) => Reply::Failed { request, text: text.clone() },
            (_, Value::Bool(true)) => Reply::Answered { request },
            (_, id) => Reply::Opened { request, id: id.clone(), resumed: false },
        }
    }
}

/// An error reply or a gap notice.
fn proxys_own(value: &Value, event: &str) -> Reply {
    let Some(gap) = value.get("gap") else {
        let text = value["error"].as_str().unwrap_or_default().to_owned();
        return Reply::Error { event: event.to_owned(), text };
    };
    let generation = gap["generation"].as_u64().unwrap_or_else(|| panic!("no generation: {value}"));
    let entry = gap.get("entry").map(|entry| (entry["id"].clone(), entry["key"].clone()));
    let time = |key: &str| gap[key].as_str().unwrap_or_else(|| panic!("no {key}: {value}")).to_owned();
    let times = (time("since"), time("until"));
    Reply::Gap(Gap { entry, times, generation, lost: gap["lost"].clone() })
}
