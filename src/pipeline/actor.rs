//! The pipeline actor.

use std::{sync::Arc, time::Instant};

use actix::{Actor, Addr, Context, Handler};

use super::{
    Attach, JournalPortError, Output, Stage, client_class,
    programs::{Position, Running, adopt as adopt_list},
};
use crate::{
    event::Event,
    failure::Failure,
    flow::{
        AckStatus, AckTracker, Adopt, DataMessage, Edge, Envelope, Kind, Permit, Run, Ticket, mailbox_room,
    },
    log::{PlaceLimit, Quoted},
    recovery::ClientClass,
    trickle::{Port, RuntimeError},
    turn::now_ns,
    upstream::Announced,
};

/// The lines about errors pipelines that fail: of all sessions at most 10 a second, because each event may fail.
static FAILED_PROGRAMS: PlaceLimit = PlaceLimit::new(10);

/// A pipeline of one session.
pub struct Pipeline {
    /// The programs to run, in order. A reload may change them, and take the last one.
    programs: Vec<Running>,
    /// The program that runs, or has run last.
    current: usize,
    out: Output,
    /// The session, to which events for ports `reply` and `err` go.
    to_session: Edge<DataMessage>,
    tracker: Arc<AckTracker>,
    /// Where messages for port `move` go; `None` if the session cannot move.
    announced: Option<Announced>,
    /// The list of the route in which the pipeline is.
    place: Place,
    position: Position,
}

/// The list of a route in which a pipeline is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Between client and upstream.
    Incoming,
    /// Between upstream and client.
    Outgoing,
    /// Before error events reach the client.
    Errors,
}

impl Drop for Pipeline {
    /// Reports to the session if the pipeline dies in a panic.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let name = self.programs.get(self.current).map_or("-", |program| &program.settings.name);
            self.tracker.pipeline_died(name);
        }
    }
}

impl Pipeline {
    /// Starts a pipeline with one program. Port `out` leads to `out`, ports `reply` and `err` to the session,
    /// `to_session`. `room` is the capacity of the pipeline's mailbox in messages. `announced` makes the session move.
    pub(super) fn start(
        program: Running,
        out: Output,
        to_session: Edge<DataMessage>,
        tracker: Arc<AckTracker>,
        room: usize,
        announced: Option<Announced>,
        (place, position): (Place, Position),
    ) -> Addr<Self> {
        Self::create(|ctx: &mut Context<Self>| {
            ctx.set_mailbox_capacity(room);
            let programs = vec![program];
            Self { programs, current: 0, out, to_session, tracker, announced, place, position }
        })
    }

    /// Starts the only incoming pipeline of a session, with a double in place of its program.
    #[cfg(test)]
    pub fn double(
        settings: &Arc<crate::settings::Pipeline>,
        stage: Box<dyn Stage>,
        to_session: Edge<DataMessage>,
        tracker: Arc<AckTracker>,
        room: usize,
    ) -> Addr<Self> {
        let program = Running::with(settings, Some(stage));
        let place = (Place::Incoming, Position::Last(0));
        Self::start(program, Output::End, to_session, tracker, room, None, place)
    }

    /// Continues with the programs that the route has now.
    fn adopt(&mut self, adopt: &Adopt, ctx: &mut Context<Self>) {
        if self.place == Place::Errors {
            ctx.set_mailbox_capacity(mailbox_room(adopt.errors_room));
        }
        let route = &adopt.route;
        let list = match self.place {
            Place::Incoming => &route.incoming,
            Place::Outgoing => &route.outgoing,
            Place::Errors => &route.errors,
        };
        adopt_list(&mut self.programs, self.position, list);
    }

    /// Runs the programs on events, and appends their outputs.
    fn run(&mut self, mut envelopes: Vec<Envelope>, out: &mut Run, to_session: &mut Run) {
        for at in 0..self.programs.len() {
            self.current = at;
            envelopes = self.run_one(envelopes, to_session);
        }
        if !envelopes.is_empty() {
            out.push(DataMessage::Events(envelopes));
        }
    }

    /// Runs the current program on events. Returns those for the next one.
    fn run_one(&mut self, envelopes: Vec<Envelope>, to_session: &mut Run) -> Vec<Envelope> {
        let Some(Running { settings, stage: Some(stage), uses_journal, announces }) =
            self.programs.get_mut(self.current)
        else {
            return envelopes;
        };
        let now_ns = now_ns();
        let mut sorted = Sorted::default();
        let mut outputs = Vec::new();
        for Envelope { event, kind, ticket, permit, class } in envelopes {
            // When an errors pipeline fails, the error event still reaches the client, unchanged.
            let error_event = (kind == Kind::Error).then(|| event.clone());
            let result = stage.run(event, now_ns, &mut outputs);
            let result = result.map_err(|error| (error.to_string(), error.located()));
            let result = result.and_then(|()| match uses_journal {
                true => {
                    classified(&mut outputs, kind).map_err(|error| (error.to_string(), error.to_string()))
                }
                false => Ok(class),
            });
            if let (Ok(_), Some(announced), true) = (&result, &self.announced, *announces) {
                announce(&mut outputs, announced);
            }
            match (result, error_event) {
                (Ok(class), _) => sorted.take(&mut outputs, kind, (ticket, permit, class)),
                (Err((_, error)), Some(event)) => {
                    outputs.clear();
                    if let Some(suppressed) = FAILED_PROGRAMS.line(Instant::now()) {
                        let name = &settings.name;
                        log::warn!(
                            "program failed pipeline={name} event={} error={}{suppressed}",
                            event.id,
                            Quoted(&error)
                        );
                    }
                    sorted.to_session.push(Envelope { event, kind, ticket, permit, class: None });
                }
                (Err((text, error)), None) => {
                    outputs.clear();
                    log::debug!(
                        "program failed pipeline={} event={} error={error}",
                        settings.name,
                        ticket.id()
                    );
                    ticket.settle(AckStatus::failed(Failure::program(text, kind == Kind::Request)));
                }
            }
        }
        if !sorted.to_session.is_empty() {
            to_session.push(DataMessage::Events(sorted.to_session));
        }
        sorted.out
    }

    fn pass(
        &mut self,
        message: DataMessage,
        (out, to_session): (&mut Run, &mut Run),
        ctx: &mut Context<Self>,
    ) {
        match message {
            DataMessage::Events(envelopes) => self.run(envelopes, out, to_session),
            DataMessage::Burst(burst) => self.run(burst.into_envelopes(), out, to_session),
            DataMessage::Several(messages) => {
                messages.into_iter().for_each(|message| self.pass(message, (out, to_session), ctx));
            }
            DataMessage::Adopt(adopt) => {
                self.adopt(&adopt, ctx);
                out.push(DataMessage::Adopt(adopt));
            }
            message => out.push(message),
        }
    }
}

/// The outputs of a pipeline, sorted by destination.
#[derive(Default)]
struct Sorted {
    out: Vec<Envelope>,
    to_session: Vec<Envelope>,
}

impl Sorted {
    /// Sorts the outputs of one event. The first output keeps the ticket and the permit. Each of the others
    /// gets a new ticket for the same event, and a permit for its own bytes.
    fn take(
        &mut self,
        outputs: &mut Vec<(Port, Event)>,
        kind: Kind,
        (ticket, permit, mut class): (Ticket, Option<Permit>, Option<Box<ClientClass>>),
    ) {
        if outputs.is_empty() {
            return ticket.settle(AckStatus::Dropped);
        }
        let copies: Vec<_> =
            outputs[1..].iter().map(|(_, event)| copy(&ticket, permit.as_ref(), event)).collect();
        let more = class.as_ref().map_or(0, |class| class.size());
        let permit = permit.map(|permit| permit.resized(outputs[0].1.data.size() + more));
        let owed = std::iter::once((ticket, permit)).chain(copies);
        for ((port, event), (ticket, permit)) in outputs.drain(..).zip(owed) {
            let (place, kind) = match port {
                Port::Out => (&mut self.out, kind),
                Port::Err => (&mut self.to_session, kind.rejected()),
                Port::Reply if kind == Kind::Request => (&mut self.to_session, Kind::Reply),
                Port::Reply => (&mut self.to_session, kind),
                // They have been taken out before, where they have an effect.
                Port::Journal | Port::Move => {
                    ticket.settle(AckStatus::Dropped);
                    continue;
                }
            };
            let class = if port == Port::Out { class.take() } else { None };
            place.push(Envelope { event, kind, ticket, permit, class });
        }
    }
}

/// The class of a client's event. The connector has read that of an upstream's event.
fn classified(
    outputs: &mut Vec<(Port, Event)>,
    kind: Kind,
) -> Result<Option<Box<ClientClass>>, JournalPortError> {
    if kind == Kind::Request {
        return client_class(outputs);
    }
    outputs.retain(|(port, _)| *port != Port::Journal);
    Ok(None)
}

/// Has the session move if an output is for port `move`.
fn announce(outputs: &mut Vec<(Port, Event)>, announced: &Announced) {
    let before = outputs.len();
    outputs.retain(|(port, _)| *port != Port::Move);
    if outputs.len() < before {
        announced.leave();
    }
}

fn copy(ticket: &Ticket, permit: Option<&Permit>, event: &Event) -> (Ticket, Option<Permit>) {
    (ticket.split(), permit.map(|permit| permit.another(event.data.size())))
}

impl Actor for Pipeline {
    type Context = Context<Self>;
}

impl Handler<DataMessage> for Pipeline {
    type Result = ();

    fn handle(&mut self, message: DataMessage, ctx: &mut Context<Self>) {
        let (mut out, mut to_session) = (Run::default(), Run::default());
        self.pass(message, (&mut out, &mut to_session), ctx);
        if let Some(message) = out.take() {
            self.out.push(message);
        }
        if let Some(message) = to_session.take() {
            self.to_session.notify(message);
        }
    }
}

impl Handler<Attach> for Pipeline {
    type Result = ();

    fn handle(&mut self, attach: Attach, _: &mut Context<Self>) {
        self.out.attach(attach);
    }
}

impl Stage for crate::trickle::Instance {
    fn run(
        &mut self,
        event: Event,
        now_ns: u64,
        outputs: &mut Vec<(Port, Event)>,
    ) -> Result<(), RuntimeError> {
        Self::run(self, event, now_ns, outputs)
    }
}
