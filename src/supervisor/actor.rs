//! The supervisor actor. `children` determines what to do about a server, and the actor does it.
//!
//! * [`starting`]: starts connectors.
//! * [`dispatch`]: handles events that have no connector; [`holding`]: keeps some of them.
//! * [`ending`]: handles the end of connections; [`recovering`]: the session's journal meanwhile.
//! * [`redialing`]: starts the next connections, with the state in [`outage`]; [`moving`]: replaces one while it serves.
//! * [`adopting`]: continues with other settings.

mod adopting;
mod dispatch;
mod ending;
mod holding;
mod moving;
mod outage;
mod recovering;
mod redialing;
mod starting;

use std::{future, sync::Arc, time::Instant};

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, fut::wrap_future};

use self::{moving::Place, outage::Outage, recovering::Recovering};
use super::{
    Describe, SessionOver, StopUpstream, SupervisorLinks, Verdict,
    child::{Child, Redial, Target},
    children::Children,
    held::Held,
    moving::Moving,
    shaper::Shaper,
};
use crate::{
    connector::{Classifier, Close, Connector, Fact, Generation, Release, Report, Restored},
    failure::FailureKind,
    figures::UpstreamFigures,
    flow::{DataMessage, Edge, Envelope, Mark, mailbox_room},
    log::{Quoted, Suppressed},
    pipeline::Attach,
    upstream::{ConnectionChangeKind, Destination, DialPlan, Dialed, First, IdleFlag, Movable, Move},
    wire::CloseFrame,
};

/// The supervisor of one session's upstream side.
pub struct Supervisor {
    plan: DialPlan,
    links: SupervisorLinks,
    /// The figures of the upstream.
    figures: Arc<UpstreamFigures>,
    /// How the route's own upstream is redialed. If programs set `$url` for every event, the upstream is treated like
    /// a server that an event names.
    own_redial: Redial,
    children: Children<Addr<Connector>>,
    /// The events that wait for a connection to the route's own upstream.
    held: Held<Envelope>,
    /// What is kept about lost connections and the next attempts.
    outage: Option<Box<Outage>>,
    /// The session's journal; `None` if it has none.
    recovering: Option<Box<Recovering>>,
    /// Whether the session ends because the upstream was given up.
    is_given_up: bool,
    /// The move to another connection of the route's own upstream.
    moving: Moving<Box<Dialed>, Box<Place>>,
    /// The session can move while it has this.
    movable: Option<Movable>,
    /// Whether nothing is in flight to the route's own upstream.
    idle: IdleFlag,
}

/// A lost connection, or a failed dial, after which the client stays.
struct Lost<'a> {
    generation: Generation,
    redial: Redial,
    verdict: Verdict,
    /// What went wrong.
    kind: FailureKind,
    /// The reason, for the log.
    reason: &'a str,
    /// The number of events that the connection left without outcome.
    unsettled: usize,
}

impl Supervisor {
    /// Starts the supervisor of a session, with the result of the dial for which the client's handshake
    /// waited. Returns the connector to which the output sends from the start too; `None` if that is the supervisor.
    pub fn start(
        plan: DialPlan,
        first: First,
        links: impl FnOnce(&Addr<Self>) -> SupervisorLinks,
        room: usize,
    ) -> (Addr<Self>, Option<Edge<DataMessage>>) {
        let mut attached = None;
        let supervisor = Self::create(|ctx| {
            ctx.set_mailbox_capacity(mailbox_room(room));
            let links = links(&ctx.address());
            plan.headers.pack();
            let is_needed = !matches!(first, First::NotNeeded);
            let own_redial = if is_needed { Redial::Automatic } else { Redial::OnDemand };
            let own = is_needed.then(|| own_target(&plan, own_redial));
            let children = Children::new(own, Arc::clone(&plan.settings().restart));
            let recovery = plan.settings().recovery.journal.as_ref();
            let recovery = recovery.filter(|_| is_needed && links.keeps_client);
            let recovering = recovery.map(|recovery| {
                let shaper = Shaper::new(&plan.settings().format, &links.tracker, &links.budget);
                Box::new(Recovering::new(recovery, links.classifier.as_ref().map(Classifier::new), shaper))
            });
            let mut supervisor = Self {
                figures: links.figures.upstream(&plan.settings().name),
                plan,
                links,
                outage: None,
                recovering,
                own_redial,
                children,
                held: Held::default(),
                is_given_up: false,
                moving: Moving::No,
                movable: None,
                idle: IdleFlag::new(),
            };
            attached = supervisor.begin(first, ctx);
            // Keeps the actor alive until `SessionOver`, although the session holds no address of it.
            ctx.spawn(wrap_future(future::pending()));
            supervisor
        });
        (supervisor, attached)
    }

    // --- Starting connectors

    /// Has the output send later events that name no server to this connector, or to the supervisor. Returns the mark
    /// that the old target gets; `None` if the target stays the same.
    fn attach(&mut self, target: Option<Generation>) -> Option<Mark> {
        if self.held.target() == target {
            return None;
        }
        let child = target.and_then(|generation| self.children.get(generation));
        let connector = child.and_then(Child::connector).map(Edge::to);
        let mark = self.held.switch(target);
        self.links.output.notify(Attach { connector, mark });
        Some(mark)
    }

    // --- Reports

    fn up(&mut self, generation: Generation, destination: Destination, ctx: &Context<Self>) {
        let endpoint = Arc::clone(&destination.endpoint);
        if !self.children.up(generation, destination, Instant::now()) {
            return;
        }
        let Some(child) = self.children.get(generation) else { return };
        if generation != Generation(1) && child.redial() == Redial::Automatic {
            let endpoint = endpoint.url().label().to_string();
            self.record(ConnectionChangeKind::Up { endpoint });
        }
        self.log_up(child);
        if child.is_own()
            && let Some(since) = self.outage.as_mut().and_then(|outage| outage.lost_since.take())
        {
            self.figures.outages.observe(since.elapsed());
        }
        if child.redial() == Redial::Automatic {
            self.attach(Some(generation));
            self.held.up(generation);
            self.join_moves(&endpoint, ctx);
        }
    }

    fn log_up(&self, child: &Child<Addr<Connector>>) {
        let (generation, upstream) = (child.generation(), self.plan.upstream());
        if generation != Generation(1) {
            let server = child.destination().endpoint.url().label();
            let detail = format!("generation={generation} server={server}");
            self.links.figures.history.changed("connector up", &detail);
        }
        // The first connection of each session is a line, as the session is.
        let is_first = generation == Generation(1);
        let suppressed = if is_first { Some(Suppressed::default()) } else { upstream.line(log::Level::Info) };
        let Some(suppressed) = suppressed else { return };
        let (session, upstream) = (&self.links.tracker, &self.plan.settings().name);
        match child.redial() {
            Redial::Automatic => {
                log::info!(
                    "connector up session={session} upstream={upstream} generation={generation} \
                     endpoint={}{suppressed}",
                    Quoted(&child.destination().endpoint.url().label())
                );
            }
            Redial::OnDemand => log::info!(
                "connector up session={session} upstream={upstream} generation={generation} url={}{suppressed}",
                Quoted(&child.destination().url.shown)
            ),
        }
    }

    fn log_restored(&self, generation: Generation, Restored { messages, duration }: Restored) {
        let Some(suppressed) = self.plan.upstream().line(log::Level::Info) else { return };
        log::info!(
            "session restored session={} upstream={} generation={generation} messages={messages} \
             duration={}ms{suppressed}",
            self.links.tracker,
            self.plan.settings().name,
            duration.as_millis(),
        );
    }

    fn proved(&mut self, generation: Generation, ctx: &mut Context<Self>) {
        self.children.proved(generation);
        if self.children.get(generation).is_some_and(|child| child.redial() == Redial::Automatic) {
            self.forget_early();
            self.end_beat(ctx);
        }
    }

    /// Where the connector of this generation connects to. For an unknown generation, the route's own
    /// upstream.
    fn destination(&self, generation: Generation) -> &Destination {
        self.children.get(generation).map_or(&self.plan.destination, |child| child.destination())
    }

    /// The name of the server of this generation in error replies and logs: the masked URL.
    fn server(&self, generation: Generation) -> Arc<str> {
        Arc::clone(&self.destination(generation).url.shown)
    }

    /// A mark of the output has arrived behind all events before it.
    fn marked(&mut self, mark: Mark, ctx: &mut Context<Self>) {
        self.held.marked(mark);
        self.mark_arrived(mark, ctx);
    }

    // --- The end

    fn stop_upstream(&mut self, frame: Option<&CloseFrame>) {
        let Some(connectors) = self.children.stop() else { return };
        drop(self.take_lease());
        self.stop_moving();
        self.attach(None);
        let mut outcomes = self.fail_kept();
        outcomes.extend(self.give_up());
        self.send_back(outcomes);
        for connector in connectors {
            Edge::notify_at(&connector, Close(frame.cloned()));
        }
    }
}

/// The route's own upstream, for events that name no server.
fn own_target(plan: &DialPlan, redial: Redial) -> Target {
    Target::Own { destination: plan.destination.clone(), redial }
}

impl Actor for Supervisor {
    type Context = Context<Self>;
}

impl Drop for Supervisor {
    /// Ends the session when the supervisor panics, because no other actor connects it to its upstream.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.links.tracker.supervisor_died();
            let frame = CloseFrame::new(1011, "internal error");
            for connector in self.children.stop().unwrap_or_default() {
                Edge::notify_at(&connector, Close(Some(frame.clone())));
            }
        }
    }
}

impl Handler<Report> for Supervisor {
    type Result = ();

    fn handle(&mut self, Report { generation, fact }: Report, ctx: &mut Context<Self>) {
        match fact {
            Fact::Up(destination) => self.up(generation, destination, ctx),
            Fact::Proved => self.proved(generation, ctx),
            Fact::Ended(ended) => self.ended(generation, ended, ctx),
            Fact::Unsent(envelopes) => {
                let failing = self.keep_unsent(generation, envelopes, ctx);
                self.unsent(generation, failing);
            }
            Fact::Returned(Release { events, replaces }) => {
                if replaces.is_some() {
                    self.outage().replaced = replaces;
                }
                let failing = self.keep_returned(generation, events, ctx);
                self.unsent(generation, failing);
            }
            Fact::Restored(restored) => {
                self.figures.replays.add(1);
                self.log_restored(generation, restored);
            }
            Fact::Journal(journal) => self.take_back(journal, ctx),
            Fact::Marked(mark) => self.marked(mark, ctx),
            Fact::Stayed => self.connector_stayed(ctx),
            Fact::Died => self.held.died(generation),
        }
        self.release();
        self.lend(ctx);
    }
}

impl Handler<DataMessage> for Supervisor {
    type Result = ();

    fn handle(&mut self, message: DataMessage, ctx: &mut Context<Self>) {
        match message {
            DataMessage::Events(envelopes) => self.take(envelopes, ctx),
            DataMessage::Burst(burst) => self.take(burst.into_envelopes(), ctx),
            DataMessage::Several(messages) => {
                messages.into_iter().for_each(|message| Handler::handle(self, message, ctx));
            }
            DataMessage::Mark(mark) => {
                self.marked(mark, ctx);
                self.release();
                self.lend(ctx);
            }
            DataMessage::Adopt(adopt) => self.adopt(adopt, ctx),
            DataMessage::Failed(_) | DataMessage::Ended(_) | DataMessage::Notice(_) => {}
        }
    }
}

impl Handler<Move> for Supervisor {
    type Result = ();

    fn handle(&mut self, Move(slot): Move, ctx: &mut Context<Self>) {
        self.move_away(slot, ctx);
    }
}

impl Handler<SessionOver> for Supervisor {
    type Result = ();

    fn handle(&mut self, SessionOver(frame): SessionOver, ctx: &mut Context<Self>) {
        self.stop_upstream(frame.as_ref());
        ctx.stop();
    }
}

impl Handler<Describe> for Supervisor {
    type Result = ();

    fn handle(&mut self, Describe { mut snapshot, reply }: Describe, _: &mut Context<Self>) {
        snapshot.held = self.held.len();
        snapshot.servers = self.children.snapshots(Instant::now());
        // The process may have stopped waiting for the answer.
        let _ = reply.send(snapshot);
    }
}

impl Handler<StopUpstream> for Supervisor {
    type Result = ();

    fn handle(&mut self, StopUpstream(frame): StopUpstream, _: &mut Context<Self>) {
        self.stop_upstream(frame.as_ref());
    }
}
