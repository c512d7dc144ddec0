//! What the model's client and upstream say, in three protocols.

use serde_json::{Value, json};
use towline_event::Value as EventValue;
use towline_recovery::{ClientClass, Pattern, Patterns, Protocol, Test, UpstreamClass};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// The preset: the upstream assigns ids, there is no login.
    Rpc,
    /// The upstream assigns ids, and there are a login and a cursor to continue at.
    Resuming,
    /// The client chooses ids, and there is a login.
    Chosen,
}

/// A client's message.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    Hello,
    Open {
        request: Value,
        topic: usize,
        id: Option<Value>,
        since: u64,
    },
    Close {
        request: Value,
        id: Value,
    },
    /// Has an effect.
    Pay {
        request: Value,
        number: u64,
    },
}

impl Request {
    /// The id of the request.
    pub fn number(&self) -> Option<u64> {
        match self {
            Self::Hello => None,
            Self::Open { request, .. } | Self::Close { request, .. } | Self::Pay { request, .. } => {
                request.as_u64()
            }
        }
    }
}

/// An upstream's message.
#[derive(Debug, Clone, PartialEq)]
pub enum Response {
    Accepted,
    Answer { request: Value, id: Option<Value>, ok: bool },
    Data { id: Value, topic: usize, number: u64 },
}

impl Wire {
    pub fn protocol(self) -> Protocol {
        if self == Self::Rpc {
            return Protocol::JsonRpc { more: Box::default() };
        }
        let op = |op| Pattern::when("op", Test::is(op)).request("r");
        let answer = Pattern::when("re", Test::Present).request("re");
        let (open, answered) = match self {
            Self::Chosen => (op("open").id("id"), answer.clone()),
            _ => (op("open").resume("since"), answer.clone().id("id")),
        };
        let data = Pattern::when("n", Test::Present).id("id");
        Protocol::Patterns(Box::new(Patterns {
            hello: [op("hello")].into(),
            accepted: [Pattern::when("op", Test::is("accepted"))].into(),
            open: [open].into(),
            close: [op("close").id("id")].into(),
            request: [op("pay")].into(),
            refused: [answer.and("error", Test::Present)].into(),
            answer: [answered].into(),
            data: [if self == Self::Resuming { data.cursor("n").numbered() } else { data }].into(),
            ..Patterns::default()
        }))
    }

    /// What a program says about a client's message.
    pub fn client_class(self, text: &str) -> ClientClass {
        let statement = match self.read_request(text) {
            Request::Hello => json!({"kind": "hello"}),
            Request::Open { request, id, .. } if self == Self::Resuming => {
                json!({"kind": "open", "id": id, "request": request, "resume": "since"})
            }
            Request::Open { request, id, .. } => json!({"kind": "open", "id": id, "request": request}),
            Request::Close { request, .. } if self == Self::Resuming => {
                json!({"kind": "close", "id_at": "id", "request": request})
            }
            Request::Close { request, id } => json!({"kind": "close", "id": id, "request": request}),
            Request::Pay { request, .. } => json!({"kind": "request", "request": request}),
        };
        ClientClass::parse(&event_value(&statement)).unwrap()
    }

    /// What a program says about an upstream's message.
    pub fn upstream_class(self, text: &str) -> UpstreamClass {
        let statement = match self.read_response(text) {
            Response::Accepted => json!({"kind": "accepted"}),
            Response::Answer { request, ok: false, .. } => json!({"kind": "refused", "request": request}),
            Response::Answer { request, id: Some(_), .. } if self == Self::Resuming => {
                json!({"kind": "answer", "request": request, "id_at": "id"})
            }
            Response::Answer { request, .. } => json!({"kind": "answer", "request": request}),
            Response::Data { number, .. } if self == Self::Resuming => {
                json!({"kind": "data", "id_at": "id", "cursor": number, "numbered": true})
            }
            Response::Data { id, .. } => json!({"kind": "data", "id": id}),
        };
        UpstreamClass::parse(&event_value(&statement)).unwrap()
    }

    pub fn has_hello(self) -> bool {
        self != Self::Rpc
    }

    pub fn request(self, request: &Request) -> String {
        let value = match (self, request) {
            (Self::Rpc, Request::Open { request, topic, .. }) => {
                json!({"id": request, "method": "eth_subscribe", "params": [topic]})
            }
            (Self::Rpc, Request::Close { request, id }) => {
                json!({"params": [id], "id": request, "method": "eth_unsubscribe"})
            }
            (Self::Rpc, Request::Pay { request, number }) => {
                json!({"id": request, "method": "pay", "params": [number]})
            }
            (_, Request::Hello) => json!({"op": "hello"}),
            (_, Request::Open { request, topic, id, since }) => {
                json!({"op": "open", "r": request, "topic": topic, "id": id, "since": since})
            }
            (_, Request::Close { request, id }) => json!({"op": "close", "r": request, "id": id}),
            (_, Request::Pay { request, number }) => json!({"op": "pay", "r": request, "number": number}),
        };
        value.to_string()
    }

    pub fn read_request(self, text: &str) -> Request {
        let value: Value = serde_json::from_str(text).unwrap();
        let (op, request) = match self {
            Self::Rpc => (value["method"].as_str().unwrap(), value["id"].clone()),
            _ => (value["op"].as_str().unwrap(), value["r"].clone()),
        };
        let number = |value: &Value| value.as_u64().unwrap();
        match (self, op) {
            (_, "hello") => Request::Hello,
            (Self::Rpc, "eth_subscribe") => {
                Request::Open { request, topic: number(&value["params"][0]) as usize, id: None, since: 0 }
            }
            (Self::Rpc, "eth_unsubscribe") => Request::Close { request, id: value["params"][0].clone() },
            (Self::Rpc, _) => Request::Pay { request, number: number(&value["params"][0]) },
            (_, "open") => {
                let id = Some(value["id"].clone()).filter(|id| !id.is_null());
                Request::Open {
                    request,
                    topic: number(&value["topic"]) as usize,
                    id,
                    since: number(&value["since"]),
                }
            }
            (_, "close") => Request::Close { request, id: value["id"].clone() },
            _ => Request::Pay { request, number: number(&value["number"]) },
        }
    }

    pub fn response(self, response: &Response) -> String {
        let value = match (self, response) {
            (_, Response::Accepted) => json!({"op": "accepted"}),
            (Self::Rpc, Response::Answer { request, id, ok: true }) => json!({"id": request, "result": id}),
            (Self::Rpc, Response::Answer { request, .. }) => json!({"id": request, "error": {"code": 1}}),
            (Self::Rpc, Response::Data { id, topic, number }) => {
                let result = json!([topic, number]);
                json!({"method": "eth_subscription", "params": {"result": result, "subscription": id}})
            }
            (_, Response::Answer { request, id, ok: true }) => json!({"re": request, "id": id}),
            (_, Response::Answer { request, .. }) => json!({"re": request, "error": 1}),
            (_, Response::Data { id, topic, number }) => json!({"id": id, "topic": topic, "n": number}),
        };
        value.to_string()
    }

    pub fn read_response(self, text: &str) -> Response {
        let value: Value = serde_json::from_str(text).unwrap();
        let number = |value: &Value| value.as_u64().unwrap();
        if value["op"] == "accepted" {
            return Response::Accepted;
        }
        if self == Self::Rpc {
            let params = &value["params"];
            if params.is_object() {
                let (topic, n) = (number(&params["result"][0]) as usize, number(&params["result"][1]));
                return Response::Data { id: params["subscription"].clone(), topic, number: n };
            }
            let ok = value.get("error").is_none();
            return Response::Answer { request: value["id"].clone(), id: value.get("result").cloned(), ok };
        }
        if value.get("re").is_some() {
            let ok = value.get("error").is_none();
            let id = Some(value["id"].clone()).filter(|id| !id.is_null());
            return Response::Answer { request: value["re"].clone(), id, ok };
        }
        Response::Data {
            id: value["id"].clone(),
            topic: number(&value["topic"]) as usize,
            number: number(&value["n"]),
        }
    }
}

fn event_value(value: &Value) -> EventValue {
    EventValue::from_json(&value.to_string()).unwrap()
}
