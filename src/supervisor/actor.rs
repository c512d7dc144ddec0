//! The supervisor actor. [`ending`] ends the session where the client is not kept.

mod ending;

use std::{mem, sync::Arc, time::Instant};

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler};

use super::{
    Policy, SessionOver, StopUpstream, SupervisorLinks, Verdict,
    loss::{Fate, failed, not_sent, refused},
};
use crate::{
    connector::{self, Close, Connector, Ended, Fact, Generation, Report, Start},
    event::Value,
    failure::{Failure, FailureKind},
    flow::{Cause, DataMessage, Edge, Envelope, Failed, mailbox_room},
    log::Quoted,
    pipeline::Attach,
    reply,
    settings::{ExchangeMode, OnGiveUp},
    upstream::{Destination, DialPlan, First},
    wire::CloseFrame,
};

/// Most servers per session chosen by `$url`, besides the route's own. Each is a connection; an event that
/// names one more gets an error reply.
const OTHERS_MAX: usize = 8;

/// The supervisor of one session's upstream side.
pub struct Supervisor {
    plan: DialPlan,
    links: SupervisorLinks,
    /// The connector to the route's own upstream.
    main: Child,
    /// Connectors to servers chosen by `$url`.
    others: Vec<Child>,
    next: Generation,
    /// The session drains: nothing is connected any more.
    upstream_stopped: bool,
    /// Programs set `$url` for every event: when an event needs the route's own upstream, it is one of the
    /// others, and `main` never connects.
    by_url: bool,
}

/// A connector, and the history of its predecessors.
struct Child {
    destination: Destination,
    generation: Generation,
    connector: Option<Addr<Connector>>,
    /// When its connection was established.
    up: Option<Instant>,
    /// Whether an earlier connection to its server was established.
    was_up_before: bool,
    policy: Policy,
    /// Why events cannot be sent while there is no connection.
    down: Failure,
    /// For servers chosen by `$url`: no attempt before this time.
    not_before: Option<Instant>,
}

impl Supervisor {
    /// Starts the supervisor of a session, with the result of the dial for which the client's handshake
    /// waited.
    pub fn start(
        plan: DialPlan,
        first: First,
        links: impl FnOnce(&Addr<Self>) -> SupervisorLinks,
        room: usize,
    ) -> Addr<Self> {
        Self::create(|ctx| {
            ctx.set_mailbox_capacity(mailbox_room(room));
            let links = links(&ctx.address());
            let main = Child::new(plan.destination.clone(), &plan);
            let mut supervisor = Self {
                plan,
                links,
                main,
                others: Vec::new(),
                next: Generation(0),
                upstream_stopped: false,
                by_url: matches!(first, First::NotNeeded),
            };
            match first {
                First::NotNeeded => {}
                First::Up(dialed) => supervisor.start_main(Start::With(dialed), ctx),
                First::Pending(dialing) => {
                    supervisor.start_main(Start::Dialing(dialing), ctx);
                    // The client's first events wait for its first connection.
                    supervisor.attach();
                }
                First::Failed(error) => {
                    supervisor.main.down = error.failure().while_down();
                    supervisor.restart_main(&error.to_string(), 0, ctx);
                }
            }
            supervisor
        })
    }

    // --- Starting

    fn start_main(&mut self, start: Start, ctx: &mut Context<Self>) {
        let generation = self.next_generation();
        self.main.generation = generation;
        self.main.connector = Some(self.start_connector(&self.main.destination, generation, start, ctx));
    }

    fn start_connector(
        &self,
        destination: &Destination,
        generation: Generation,
        start: Start,
        ctx: &mut Context<Self>,
    ) -> Addr<Connector> {
        let links = connector::ConnectorLinks {
            supervisor: Edge::to(&ctx.address()),
            back: self.links.back.clone(),
            tracker: Arc::clone(&self.links.tracker),
            budget: Arc::clone(&self.links.budget),
            room: self.links.room,
            origin: self.links.reads_origin.then(|| destination.url.origin()).flatten().map(Arc::new),
        };
        Connector::start(Arc::clone(self.plan.settings()), generation, links, start)
    }

    fn next_generation(&mut self) -> Generation {
        self.next.0 += 1;
        self.next
    }

    /// Schedules the restart of the route's own connector.
    fn restart_main(&mut self, reason: &str, unsettled: usize, ctx: &mut Context<Self>) {
        let verdict = self.main.policy.lost(Instant::now(), rand::random());
        self.log_restart(verdict, reason, unsettled);
        if verdict.gives_up && self.plan.settings().on_give_up == OnGiveUp::Close {
            return self.close_given_up();
        }
        ctx.run_later(verdict.delay, Self::wait_for_pace);
    }

    fn log_restart(&self, verdict: Verdict, reason: &str, unsettled: usize) {
        let Verdict { delay, attempt, gives_up, .. } = verdict;
        let (session, upstream) = (&self.links.tracker, &self.plan.settings().name);
        let (delay, reason) = (delay.as_millis(), Quoted(reason));
        if gives_up {
            log::error!(
                "connector gave up session={session} upstream={upstream} attempt={attempt} probe={delay}ms \
                 reason={reason} unsettled={unsettled}"
            );
        } else {
            log::warn!(
                "connector restart session={session} upstream={upstream} attempt={attempt} delay={delay}ms \
                 reason={reason} unsettled={unsettled}"
            );
        }
    }

    fn wait_for_pace(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        let wait = self.plan.upstream().reserve_reconnect(now).duration_since(now);
        if wait.is_zero() {
            self.redial_main(ctx);
        } else {
            ctx.run_later(wait, Self::redial_main);
        }
    }

    fn redial_main(&mut self, ctx: &mut Context<Self>) {
        if !self.upstream_stopped {
            let dialing = self.plan.dial(&self.main.destination);
            self.start_main(Start::Dialing(dialing), ctx);
        }
    }

    /// Sends the route's own events to its connector from now on.
    fn attach(&self) {
        self.links.output.notify(Attach(self.main.connector.as_ref().map(Edge::to)));
    }

    // --- Reports

    fn up(&mut self, generation: Generation) {
        if let Some(child) = self.child(generation) {
            child.up = Some(Instant::now());
            child.down = Failure::not_connected();
            child.was_up_before = true;
        }
        let (session, upstream) = (&self.links.tracker, &self.plan.settings().name);
        if generation == self.main.generation {
            log::info!("connector up session={session} upstream={upstream} generation={generation}");
            self.attach();
        } else if let Some(child) = self.child(generation) {
            let url = child.destination.url.shown.clone();
            let (session, upstream) = (&self.links.tracker, &self.plan.settings().name);
            log::info!(
                "connector up session={session} upstream={upstream} generation={generation} url={}",
                Quoted(&url)
            );
        }
    }

    fn ended(&mut self, generation: Generation, ended: Ended, ctx: &mut Context<Self>) {
        let (reason, down) = (reply::reason(&ended.failure), ended.failure.while_down());
        let unsettled = ended.unsettled.len() + ended.unsent.len();
        let server: Arc<str> =
            self.child(generation).map_or("", |child| child.destination.url.shown.as_str()).into();
        let upstream = Arc::clone(self.plan.upstream());
        if let Some(child) = self.child(generation) {
            child.connector = None;
            // The dial itself reports that it failed.
            if child.up.is_some() {
                upstream.report_end(&child.destination.endpoint, &ended.failure);
            }
        }
        if self.upstream_stopped {
            return self.fail(self.failures(ended, server));
        }
        let fate = self.fate(generation, &ended.failure);
        if fate != Fate::Keep {
            return self.end_session(fate, ended, server, unsettled);
        }
        self.fail(self.failures(ended, server));
        if let Some(child) = self.child(generation) {
            child.down = down;
            if let Some(up) = child.up.take() {
                child.policy.was_up(up.elapsed());
            }
        }
        if generation == self.main.generation {
            self.links.output.notify(Attach(None));
            self.restart_main(&reason, unsettled, ctx);
        } else {
            self.other_ended(generation, &reason, unsettled);
        }
    }

    /// A connector to a server chosen by `$url` is not restarted automatically. The next event that names its
    /// server starts it, once the backoff is over.
    fn other_ended(&mut self, generation: Generation, reason: &str, unsettled: usize) {
        let (session, upstream) = (Arc::clone(&self.links.tracker), self.plan.settings().name.clone());
        let Some(child) = self.child(generation) else { return };
        let Verdict { delay, attempt, .. } = child.policy.lost(Instant::now(), rand::random());
        child.not_before = Some(Instant::now() + delay);
        log::warn!(
            "connector lost session={session} upstream={upstream} url={} attempt={attempt} pause={}ms \
             reason={} unsettled={unsettled}",
            Quoted(&child.destination.url.shown),
            delay.as_millis(),
            Quoted(reason),
        );
    }

    /// Turns a connection's unsettled events into failures: first the notice about the last event that a
    /// stream wrote, then the events themselves, oldest first.
    fn failures(&self, ended: Ended, server: Arc<str>) -> Vec<Failed> {
        let Ended { failure, unsettled, unsent, last_written } = ended;
        let streaming = self.plan.settings().exchange == ExchangeMode::Stream;
        // A connection that we closed needs no notice.
        let notice =
            last_written.filter(|_| streaming && failure.kind != FailureKind::Draining).map(|event| Failed {
                ticket: None,
                event,
                failure: failure.for_event(&server, true),
                correlation: None,
            });
        let unsettled = unsettled.into_iter().map(|lost| failed(lost, &server, &failure));
        let unsent = unsent.into_iter().map(|envelope| not_sent(envelope, &server, &failure));
        let failures: Vec<_> = notice.into_iter().chain(unsettled).chain(unsent).collect();
        if failures.is_empty() && failure.kind.loses_message() {
            return vec![self.lost_push(failure.for_event(&server, true))];
        }
        failures
    }

    /// The notice of a server's message that could not be taken, when no failed event reports it.
    fn lost_push(&self, failure: Failure) -> Failed {
        let ticket = self.links.tracker.issue(Cause::Push);
        Failed { event: ticket.event(), ticket: Some(ticket), failure, correlation: None }
    }

    /// Fails events that reached a connection after its end.
    fn unsent(&mut self, generation: Generation, envelopes: Vec<Envelope>) {
        let (server, down) = match self.child(generation) {
            Some(child) => (child.destination.url.shown.as_str().into(), child.down.clone()),
            None => (self.main_server(), Failure::not_connected()),
        };
        let failure = if self.upstream_stopped { Failure::draining() } else { down };
        self.fail(envelopes.into_iter().map(|late| not_sent(late, &server, &failure)).collect());
    }

    fn fail(&self, failed: Vec<Failed>) {
        if !failed.is_empty() {
            self.links.back.notify(DataMessage::Failed(failed));
        }
    }

    // --- Events that no connector took

    fn take(&mut self, envelopes: Vec<Envelope>, ctx: &mut Context<Self>) {
        let mut failures = Vec::new();
        for envelope in envelopes {
            if let Err(failure) = self.dispatch(envelope, ctx) {
                failures.push(*failure);
            }
        }
        self.fail(failures);
    }

    fn dispatch(&mut self, envelope: Envelope, ctx: &mut Context<Self>) -> Result<(), Box<Failed>> {
        let url = match envelope.event.meta.get("url") {
            None => return self.dispatch_own(envelope, ctx),
            Some(Value::String(url)) if url == self.main.destination.url.text => {
                return self.dispatch_own(envelope, ctx);
            }
            Some(Value::String(url)) => url,
            Some(other) => {
                let words = format!("$url takes a string, not {}", other.type_name());
                return Err(refused(envelope, Failure::program(words, true)).into());
            }
        };
        match self.plan.settings().allows(&url) {
            Ok(url) => self.dispatch_to(Destination::chosen(url), envelope, ctx),
            Err(error) => {
                let server: Arc<str> = crate::authority::mask(&url).into();
                let failure = Failure::connection(FailureKind::NotAllowed, error.to_string());
                Err(not_sent(envelope, &server, &failure).into())
            }
        }
    }

    /// Handles an event for the route's own upstream that no connector took.
    fn dispatch_own(&mut self, envelope: Envelope, ctx: &mut Context<Self>) -> Result<(), Box<Failed>> {
        if self.by_url {
            return self.dispatch_to(self.main.destination.clone(), envelope, ctx);
        }
        let failure = if self.upstream_stopped { Failure::draining() } else { self.main.down.clone() };
        Err(not_sent(envelope, &self.main_server(), &failure).into())
    }

    fn dispatch_to(
        &mut self,
        destination: Destination,
        envelope: Envelope,
        ctx: &mut Context<Self>,
    ) -> Result<(), Box<Failed>> {
        let server: Arc<str> = destination.url.shown.as_str().into();
        if self.upstream_stopped {
            return Err(not_sent(envelope, &server, &Failure::draining()).into());
        }
        match self.other(destination, ctx) {
            Ok(connector) => {
                Edge::to(connector).notify(DataMessage::Events(vec![envelope]));
                Ok(())
            }
            Err(failure) => Err(not_sent(envelope, &server, &failure).into()),
        }
    }

    /// The connector to a server that `$url` names; starts it if needed.
    fn other(
        &mut self,
        destination: Destination,
        ctx: &mut Context<Self>,
    ) -> Result<&Addr<Connector>, Failure> {
        let at = match self.others.iter().position(|child| child.destination.url.text == destination.url.text)
        {
            Some(at) => at,
            None => self.add_other(destination)?,
        };
        if self.others[at].connector.is_none() {
            let now = Instant::now();
            if self.others[at].not_before.is_some_and(|moment| now < moment) {
                return Err(self.others[at].down.clone());
            }
            let generation = self.next_generation();
            let start = Start::Dialing(self.plan.dial(&self.others[at].destination));
            self.others[at].generation = generation;
            let connector = self.start_connector(&self.others[at].destination, generation, start, ctx);
            self.others[at].connector = Some(connector);
        }
        self.others[at].connector.as_ref().ok_or_else(Failure::not_connected)
    }

    /// Makes room for another server by removing one that has no connection now.
    fn add_other(&mut self, destination: Destination) -> Result<usize, Failure> {
        if self.others.len() >= OTHERS_MAX {
            let idle = self.others.iter().position(|child| child.connector.is_none());
            let full = || {
                let detail = format!("more than {OTHERS_MAX} servers in one session");
                Failure::connection(FailureKind::NotAllowed, detail)
            };
            self.others.swap_remove(idle.ok_or_else(full)?);
        }
        self.others.push(Child::new(destination, &self.plan));
        Ok(self.others.len() - 1)
    }

    fn main_server(&self) -> Arc<str> {
        self.main.destination.url.shown.as_str().into()
    }

    // --- The end

    fn stop_upstream(&mut self, frame: Option<CloseFrame>) {
        if mem::replace(&mut self.upstream_stopped, true) {
            return;
        }
        self.links.output.notify(Attach(None));
        for child in std::iter::once(&mut self.main).chain(&mut self.others) {
            if let Some(connector) = child.connector.take() {
                Edge::to(&connector).notify(Close(frame.clone()));
            }
        }
    }

    fn child(&mut self, generation: Generation) -> Option<&mut Child> {
        std::iter::once(&mut self.main).chain(&mut self.others).find(|child| child.generation == generation)
    }
}

impl Child {
    fn new(destination: Destination, plan: &DialPlan) -> Self {
        let policy = Policy::new(plan.settings().restart);
        Self {
            destination,
            generation: Generation(0),
            connector: None,
            up: None,
            was_up_before: false,
            policy,
            down: Failure::not_connected(),
            not_before: None,
        }
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;
}

impl Handler<Report> for Supervisor {
    type Result = ();

    fn handle(&mut self, Report { generation, fact }: Report, ctx: &mut Context<Self>) {
        match fact {
            Fact::Up => self.up(generation),
            Fact::Proved => {
                if let Some(child) = self.child(generation) {
                    child.policy.proved();
                }
            }
            Fact::Ended(ended) => self.ended(generation, ended, ctx),
            Fact::Unsent(envelopes) => self.unsent(generation, envelopes),
        }
    }
}

impl Handler<DataMessage> for Supervisor {
    type Result = ();

    fn handle(&mut self, flow: DataMessage, ctx: &mut Context<Self>) {
        if let DataMessage::Events(envelopes) = flow {
            self.take(envelopes, ctx);
        }
    }
}

impl Handler<SessionOver> for Supervisor {
    type Result = ();

    fn handle(&mut self, SessionOver(frame): SessionOver, ctx: &mut Context<Self>) {
        self.stop_upstream(frame);
        ctx.stop();
    }
}

impl Handler<StopUpstream> for Supervisor {
    type Result = ();

    fn handle(&mut self, StopUpstream(frame): StopUpstream, _: &mut Context<Self>) {
        self.stop_upstream(frame);
    }
}
