//! A model of one session's output, supervisor and connectors, with a queue for each mailbox. The steps of all actors
//! interleave at random.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use proptest::prelude::*;

use super::held::{Held, Released};
use crate::{
    connector::{Generation, Waiting},
    flow::Mark,
};

/// What an actor of the upstream side gets. Events are their numbers.
#[derive(Debug)]
enum Message {
    Event(u64),
    Mark(Mark),
    Release(Vec<u64>),
    Yield,
    Report(Generation, Fact),
}

#[derive(Debug)]
enum Fact {
    Up,
    Ended { unwritten: Vec<u64>, waiting: Vec<u64> },
    Unsent(u64),
    Returned(Vec<u64>),
    Marked(Mark),
    Stayed,
    Died,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Dialing,
    Up,
    Ended,
    Dead,
}

#[derive(Debug)]
struct Connector {
    state: State,
    waiting: Waiting<u64>,
    mailbox: VecDeque<Message>,
    /// The events that are queued for the socket.
    unwritten: VecDeque<u64>,
    written: Vec<u64>,
    is_yielding: bool,
}

impl Connector {
    fn new() -> Self {
        Self {
            state: State::Dialing,
            waiting: Waiting::new(true),
            mailbox: VecDeque::new(),
            unwritten: VecDeque::new(),
            written: Vec::new(),
            is_yielding: false,
        }
    }

    fn can_send(&self) -> bool {
        self.state == State::Up && !self.waiting.is_gated()
    }

    fn send_waiting(&mut self) -> Option<Mark> {
        if !self.can_send() {
            return None;
        }
        let (events, mark) = self.waiting.take();
        self.unwritten.extend(events);
        mark
    }

    /// The socket takes some of the queued events.
    fn write(&mut self, count: usize) {
        let count = count.min(self.unwritten.len());
        self.written.extend(self.unwritten.drain(..count));
    }

    fn step(&mut self) -> Option<Fact> {
        let is_ended = self.state == State::Ended;
        match self.mailbox.pop_front()? {
            Message::Event(event) if is_ended => return Some(Fact::Unsent(event)),
            Message::Event(event) if self.can_send() => self.unwritten.push_back(event),
            Message::Event(event) => self.waiting.push(vec![event]),
            Message::Mark(mark) if is_ended || self.can_send() => return Some(Fact::Marked(mark)),
            Message::Mark(mark) => self.waiting.end_with(mark),
            Message::Release(events) if is_ended => return Some(Fact::Returned(events)),
            Message::Release(events) => {
                self.waiting.release(events);
                return self.send_waiting().map(Fact::Marked);
            }
            Message::Yield => self.is_yielding = self.state == State::Up,
            Message::Report(..) => unreachable!("a connector gets no reports"),
        }
        None
    }
}

/// Where the output of the pipelines sends.
#[derive(Debug, Clone, Copy)]
enum Target {
    Supervisor,
    Connector(Generation),
}

/// A move of the session.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Moving {
    No,
    /// The output is switched to the supervisor with this mark.
    Turning(Mark),
    /// The connector has the mark, and yields.
    Yielding,
}

struct Model {
    now: Instant,
    hold: Duration,
    /// The number of the next event.
    next: u64,
    target: Target,
    /// The `Attach`es on their way to the output.
    attaches: VecDeque<(Option<Generation>, Mark)>,
    connectors: BTreeMap<Generation, Connector>,
    /// The mailbox of the supervisor.
    mailbox: VecDeque<Message>,
    held: Held<u64>,
    /// The last connector, unless it has ended as far as the supervisor can tell.
    current: Option<Generation>,
    moving: Moving,
    failed: Vec<u64>,
}

impl Model {
    fn new(hold: Duration) -> Self {
        Self {
            now: Instant::now(),
            hold,
            next: 0,
            target: Target::Supervisor,
            attaches: VecDeque::new(),
            connectors: BTreeMap::new(),
            mailbox: VecDeque::new(),
            held: Held::default(),
            current: None,
            moving: Moving::No,
            failed: Vec::new(),
        }
    }

    /// Starts with a first connector to which the output sends before any event.
    fn attached(hold: Duration) -> Self {
        let generation = Generation(1);
        let mut connector = Connector::new();
        connector.state = State::Up;
        connector.waiting.release(Vec::new());
        Self {
            target: Target::Connector(generation),
            connectors: BTreeMap::from([(generation, connector)]),
            held: Held::serving(generation),
            current: Some(generation),
            ..Self::new(hold)
        }
    }

    // --- The output

    fn push(&mut self, message: Message) {
        match self.target {
            Target::Connector(generation) if self.connectors[&generation].state != State::Dead => {
                self.connectors.get_mut(&generation).unwrap().mailbox.push_back(message);
            }
            _ => {
                self.target = Target::Supervisor;
                self.mailbox.push_back(message);
            }
        }
    }

    fn send(&mut self) {
        self.push(Message::Event(self.next));
        self.next += 1;
    }

    fn switch(&mut self) {
        if let Some((target, mark)) = self.attaches.pop_front() {
            self.push(Message::Mark(mark));
            self.target = target.map_or(Target::Supervisor, Target::Connector);
        }
    }

    // --- Connectors

    fn report(&mut self, generation: Generation, fact: Fact) {
        self.mailbox.push_back(Message::Report(generation, fact));
    }

    /// The connector of this number, counted from the newest.
    fn pick(&self, back: usize) -> Option<Generation> {
        self.connectors.keys().rev().nth(back).copied()
    }

    fn step(&mut self, generation: Generation) {
        let connector = self.connectors.get_mut(&generation).unwrap();
        if connector.state != State::Dead
            && let Some(fact) = connector.step()
        {
            self.report(generation, fact);
        }
    }

    fn connect(&mut self, generation: Generation) {
        let connector = self.connectors.get_mut(&generation).unwrap();
        if connector.state == State::Dialing {
            connector.state = State::Up;
            let mark = connector.send_waiting();
            self.report(generation, Fact::Up);
            if let Some(mark) = mark {
                self.report(generation, Fact::Marked(mark));
            }
        }
    }

    fn end(&mut self, generation: Generation) {
        let connector = self.connectors.get_mut(&generation).unwrap();
        if matches!(connector.state, State::Dialing | State::Up) {
            connector.state = State::Ended;
            let (waiting, mark) = connector.waiting.take();
            let unwritten = connector.unwritten.drain(..).collect();
            self.report(generation, Fact::Ended { unwritten, waiting });
            if let Some(mark) = mark {
                self.report(generation, Fact::Marked(mark));
            }
        }
    }

    /// A connector that yields is not quiet in time.
    fn stay(&mut self, generation: Generation) {
        let connector = self.connectors.get_mut(&generation).unwrap();
        if connector.state == State::Up && std::mem::take(&mut connector.is_yielding) {
            connector.waiting.close_gate();
            self.report(generation, Fact::Stayed);
        }
    }

    /// The connector panics. The events in its mailbox are lost, which their tickets report.
    fn panic(&mut self, generation: Generation) {
        self.end(generation);
        let connector = self.connectors.get_mut(&generation).unwrap();
        if connector.state == State::Dead {
            return;
        }
        connector.state = State::Dead;
        for message in connector.mailbox.drain(..) {
            match message {
                Message::Event(event) => self.failed.push(event),
                Message::Release(events) => self.failed.extend(events),
                Message::Mark(_) | Message::Yield | Message::Report(..) => {}
            }
        }
        self.report(generation, Fact::Died);
    }

    // --- The supervisor

    fn dial(&mut self, attach: bool) {
        if self.current.is_none() {
            let generation = Generation(self.connectors.len() as u64 + 1);
            self.connectors.insert(generation, Connector::new());
            self.current = Some(generation);
            if attach {
                self.attach(Some(generation));
            }
        }
    }

    fn attach(&mut self, target: Option<Generation>) -> Option<Mark> {
        if self.held.target() == target {
            return None;
        }
        let mark = self.held.switch(target);
        self.attaches.push_back((target, mark));
        Some(mark)
    }

    fn begin_to_move(&mut self) {
        if self.moving == Moving::No && self.current.is_some_and(|current| self.held.serves(current)) {
            self.moving = Moving::Turning(self.attach(None).expect("the connector serves"));
        }
    }

    fn marked(&mut self, mark: Mark) {
        self.held.marked(mark);
        if self.moving == Moving::Turning(mark) {
            self.moving = Moving::Yielding;
            let current = self.current.and_then(|current| self.connectors.get_mut(&current));
            current.expect("it serves").mailbox.push_back(Message::Yield);
        }
    }

    fn supervise(&mut self) {
        let until = self.now + self.hold;
        match self.mailbox.pop_front() {
            None => return,
            Some(Message::Event(event)) => self.held.take(event, until).expect("the event has a place"),
            Some(Message::Mark(mark)) => self.marked(mark),
            Some(Message::Report(generation, fact)) => self.reported(generation, fact, until),
            Some(Message::Release(_) | Message::Yield) => unreachable!("the supervisor sends it"),
        }
        if let Some(Released { generation, events }) = self.held.release() {
            let connector = self.connectors.get_mut(&generation).unwrap();
            match connector.state {
                State::Dead => self.failed.extend(events),
                _ => connector.mailbox.push_back(Message::Release(events)),
            }
        }
    }

    fn reported(&mut self, generation: Generation, fact: Fact, until: Instant) {
        match fact {
            Fact::Up => {
                self.attach(Some(generation));
                self.held.up(generation);
            }
            Fact::Ended { unwritten, waiting } => {
                (self.current, self.moving) = (None, Moving::No);
                self.held.ended(generation);
                for event in unwritten {
                    self.held.unwritten(generation, event, until).unwrap();
                }
                waiting.into_iter().for_each(|event| self.held.back(generation, event, until).unwrap());
                self.held.settled(generation);
                self.attach(None);
            }
            Fact::Unsent(event) => self.held.back(generation, event, until).unwrap(),
            Fact::Returned(events) => {
                let events = events.into_iter().map(|event| (event, until)).collect();
                self.held.returned(generation, events).unwrap();
            }
            Fact::Marked(mark) => self.marked(mark),
            Fact::Stayed => {
                self.moving = Moving::No;
                self.held.settled(generation);
                self.attach(Some(generation));
                self.held.up(generation);
            }
            Fact::Died => self.held.died(generation),
        }
    }

    fn pass_time(&mut self) {
        self.now += self.hold / 4;
        self.failed.extend(self.held.expire(self.now));
        assert!(self.held.deadline().is_none_or(|deadline| deadline > self.now));
    }

    // --- The whole

    fn run(&mut self, action: Action) {
        let picked = |model: &Self, back| model.pick(back);
        match action {
            Action::Send => self.send(),
            Action::Switch => self.switch(),
            Action::Supervise => self.supervise(),
            Action::Dial(attach) => self.dial(attach),
            Action::Move => self.begin_to_move(),
            Action::Write(count) => {
                picked(self, 0).into_iter().for_each(|it| self.connectors.get_mut(&it).unwrap().write(count));
            }
            Action::Stay => picked(self, 0).into_iter().for_each(|it| self.stay(it)),
            Action::PassTime => self.pass_time(),
            Action::Step(back) => picked(self, back).into_iter().for_each(|it| self.step(it)),
            Action::Connect => picked(self, 0).into_iter().for_each(|it| self.connect(it)),
            Action::End => picked(self, 0).into_iter().for_each(|it| self.end(it)),
            Action::Panic(back) => picked(self, back).into_iter().for_each(|it| self.panic(it)),
        }
    }

    /// Lets each actor do what it has to do. The last connection stays up.
    fn settle(&mut self) {
        loop {
            while !self.attaches.is_empty() {
                self.switch();
            }
            for generation in self.connectors.keys().copied().collect::<Vec<_>>() {
                (0..self.connectors[&generation].mailbox.len()).for_each(|_| self.step(generation));
            }
            let can_send = self.current.is_some_and(|it| self.connectors[&it].can_send());
            if self.mailbox.is_empty() && can_send && self.moving == Moving::No {
                break;
            }
            self.supervise();
            self.dial(false);
            if let Some(current) = self.current {
                self.connect(current);
                self.stay(current);
            }
        }
        self.connectors.values_mut().for_each(|connector| connector.write(usize::MAX));
    }
}

#[derive(Debug, Clone, Copy)]
enum Action {
    /// The output sends an event.
    Send,
    /// The output handles an `Attach`.
    Switch,
    /// The supervisor handles a message.
    Supervise,
    /// The supervisor starts a connector if there is none, and attaches it at once or when it is up.
    Dial(bool),
    /// The session begins to move.
    Move,
    /// A connector handles a message.
    Step(usize),
    /// The newest connection takes some events.
    Write(usize),
    /// The newest connector does not become quiet in time.
    Stay,
    /// The newest connection comes up.
    Connect,
    /// The newest connection ends.
    End,
    /// A connector panics.
    Panic(usize),
    PassTime,
}

/// `rare`: the weight of panics and of time.
fn actions(rare: u32) -> impl Strategy<Value = Vec<Action>> {
    let moving = prop_oneof![Just(Action::Move), (1..5_usize).prop_map(Action::Write), Just(Action::Stay),];
    let action = prop_oneof![
        6 => Just(Action::Send),
        3 => Just(Action::Switch),
        6 => Just(Action::Supervise),
        2 => any::<bool>().prop_map(Action::Dial),
        6 => (0..3_usize).prop_map(Action::Step),
        6 => moving,
        2 => Just(Action::Connect),
        1 => Just(Action::End),
        rare => (0..3_usize).prop_map(Action::Panic),
        rare => Just(Action::PassTime),
    ];
    proptest::collection::vec(action, 0..400)
}

fn starts() -> impl Strategy<Value = fn(Duration) -> Model> {
    prop_oneof![Just(Model::new as fn(_) -> _), Just(Model::attached as fn(_) -> _)]
}

/// Checks that the upstream gets the events in order, and that each event has one outcome.
fn check(start: fn(Duration) -> Model, actions: Vec<Action>) -> Model {
    let mut model = start(Duration::from_secs(1));
    actions.into_iter().for_each(|action| model.run(action));
    model.settle();
    let sent: Vec<_> = model.connectors.values().flat_map(|connector| connector.written.clone()).collect();
    assert!(sent.is_sorted(), "{sent:?}");
    assert!(model.held.is_empty());
    let mut ends: Vec<_> = sent.into_iter().chain(model.failed.clone()).collect();
    ends.sort_unstable();
    assert_eq!(ends, (0..model.next).collect::<Vec<_>>());
    model
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn events_arrive_in_their_order_and_each_has_one_outcome(start in starts(), actions in actions(1)) {
        check(start, actions);
    }

    #[test]
    fn no_event_fails_if_no_deadline_passes(start in starts(), actions in actions(0)) {
        let model = check(start, actions);
        prop_assert!(model.failed.is_empty(), "{:?}", model.failed);
    }
}
