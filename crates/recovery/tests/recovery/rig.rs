//! A session around a journal, whose effects are lines of text.
//!
//! ```text
//! > …       to the upstream            gap KEY ID MISSING
//! < …       to the client              failed EVENT REASON, dropped EVENT REASON, kept EVENT, done EVENT
//! ready     broken REASON              refused EVENT REASON, refused REASON, pass on CODE
//! ```

use std::time::{Duration, Instant};

use bytes::Bytes;
use towline_event::Value;
use towline_recovery::{
    ClientClass, ClientStep, Failure, InFlight, Journal, Limits, Loss, Message, Output, Protocol, Recovery,
    Settings, UpstreamClass, UpstreamStep,
};

pub struct Rig {
    pub journal: Journal,
    pub generation: u64,
    pub now: Instant,
    event: u64,
    /// The last event that was written to the current connection.
    written: Option<u64>,
}

impl Rig {
    pub fn new(protocol: &Protocol) -> Self {
        Self::with(protocol, Settings::default())
    }

    pub fn retrying(protocol: &Protocol) -> Self {
        Self::with(protocol, Settings { in_flight: InFlight::Retry, ..Settings::default() })
    }

    pub fn bounded(protocol: &Protocol, limits: Limits) -> Self {
        Self::with(protocol, Settings { limits, ..Settings::default() })
    }

    /// Creates a rig whose client is on the first upstream connection.
    fn with(protocol: &Protocol, settings: Settings) -> Self {
        let journal = Recovery::new(protocol, settings).unwrap().journal();
        let mut rig = Self { journal, generation: 0, now: Instant::now(), event: 0, written: None };
        assert_eq!(rig.connect(), ["ready"]);
        rig
    }

    pub fn connect(&mut self) -> Vec<String> {
        self.generation += 1;
        self.written = None;
        self.journal.connected(self.generation, self.now);
        self.drain()
    }

    pub fn client(&mut self, text: &str) -> Vec<String> {
        self.client_message(Message::text(text.to_owned()))
    }

    pub fn client_message(&mut self, message: Message) -> Vec<String> {
        let step = self.journal.client(self.event, message);
        self.client_step(step)
    }

    /// A message about which a program says `statement`.
    pub fn client_as(&mut self, text: &str, statement: &str) -> Vec<String> {
        let class = ClientClass::parse(&Value::from_json(statement).unwrap()).unwrap();
        let step = self.journal.client_as(self.event, Message::text(text.to_owned()), &class);
        self.client_step(step)
    }

    fn client_step(&mut self, step: ClientStep) -> Vec<String> {
        let event = self.event;
        let lines = match step {
            ClientStep::Send(message) => {
                self.written = Some(event);
                vec![format!("> {}", show(&message))]
            }
            ClientStep::Hide => vec![],
            ClientStep::Refuse(failure) => failed("refused", &failure),
            ClientStep::Wait(_) => return vec!["wait".to_owned()],
        };
        self.event += 1;
        [lines, self.drain()].concat()
    }

    pub fn upstream(&mut self, text: &str) -> Vec<String> {
        self.upstream_message(Message::text(text.to_owned()))
    }

    pub fn upstream_message(&mut self, message: Message) -> Vec<String> {
        let step = self.journal.upstream(self.generation, message, self.now);
        self.upstream_step(step)
    }

    /// A message about which a program says `statement`.
    pub fn upstream_as(&mut self, text: &str, statement: &str) -> Vec<String> {
        let class = UpstreamClass::parse(&Value::from_json(statement).unwrap()).unwrap();
        let message = Message::text(text.to_owned());
        let step = self.journal.upstream_as(self.generation, message, &class, self.now);
        self.upstream_step(step)
    }

    fn upstream_step(&mut self, step: UpstreamStep) -> Vec<String> {
        let lines = match step {
            UpstreamStep::Deliver { message, .. } => vec![format!("< {}", show(&message))],
            UpstreamStep::Hide => vec![],
            UpstreamStep::Refuse(reason) => vec![format!("refused {reason}")],
        };
        [lines, self.drain()].concat()
    }

    pub fn lose(&mut self) -> Vec<String> {
        self.lose_with(self.written, None)
    }

    /// Loses the connection, to which `last_event` was the last one written.
    pub fn lose_with(&mut self, last_event: Option<u64>, close: Option<u16>) -> Vec<String> {
        let lost = self.journal.lost(Loss { now: self.now, last_event, close, text: "gone" });
        let mut lines: Vec<_> = lost.failed.iter().flat_map(|failure| failed("failed", failure)).collect();
        lines.extend(lost.dropped.iter().flat_map(|failure| failed("dropped", failure)));
        lines.extend(lost.kept.iter().map(|event| format!("kept {event}")));
        for (event, reply) in lost.done {
            lines.push(format!("done {event}"));
            lines.extend(reply.map(|message| format!("< {}", show(&message))));
        }
        lines.extend(lost.pass_on.map(|code| format!("pass on {code}")));
        lines.extend(self.drain());
        lines
    }

    pub fn wait(&mut self, time: Duration) -> Vec<String> {
        self.now += time;
        self.drain()
    }

    fn drain(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(output) = self.journal.poll(self.now) {
            match output {
                Output::Send(message) => lines.push(format!("> {}", show(&message))),
                Output::Deliver { message, .. } => lines.push(format!("< {}", show(&message))),
                Output::Notice(gap) => {
                    let entry = gap.entry.map(|entry| format!("{} {}", text(&entry.key), text(&entry.id)));
                    lines.push(format!("gap {} {}", entry.unwrap_or_default(), gap.missing));
                }
                Output::Failed(failure) => lines.extend(failed("failed", &failure)),
                Output::Ready => lines.push("ready".to_owned()),
                Output::Broken(broken) => lines.push(format!("broken {broken}")),
            }
        }
        lines
    }
}

fn failed(word: &str, failure: &Failure) -> Vec<String> {
    let line = format!("{word} {} {}", failure.event, failure.reason);
    let reply = failure.reply.iter().map(|message| format!("< {}", show(message)));
    std::iter::once(line).chain(reply).collect()
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn show(message: &Message) -> String {
    match message.binary {
        false => text(&message.payload).replace('\n', "|").replace('\0', "^@"),
        true => message.payload.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "),
    }
}
