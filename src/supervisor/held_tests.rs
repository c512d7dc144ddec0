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
    Report(Generation, Fact),
}

#[derive(Debug)]
enum Fact {
    Up,
    Ended(Vec<u64>),
    Unsent(u64),
    Returned(Vec<u64>),
    Marked(Mark),
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
    sent: Vec<u64>,
}

impl Connector {
    fn new() -> Self {
        Self {
            state: State::Dialing,
            waiting: Waiting::new(true),
            mailbox: VecDeque::new(),
            sent: Vec::new(),
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
        self.sent.extend(events);
        mark
    }

    fn step(&mut self) -> Option<Fact> {
        let is_ended = self.state == State::Ended;
        match self.mailbox.pop_front()? {
            Message::Event(event) if is_ended => return Some(Fact::Unsent(event)),
            Message::Event(event) if self.can_send() => self.sent.push(event),
            Message::Event(event) => self.waiting.push(vec![event]),
            Message::Mark(mark) if is_ended || self.can_send() => return Some(Fact::Marked(mark)),
            Message::Mark(mark) => self.waiting.end_with(mark),
            Message::Release(events) if is_ended => return Some(Fact::Returned(events)),
            Message::Release(events) => {
                self.waiting.release(events);
                return self.send_waiting().map(Fact::Marked);
            }
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
            failed: Vec::new(),
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
            let (events, mark) = connector.waiting.take();
            self.report(generation, Fact::Ended(events));
            if let Some(mark) = mark {
                self.report(generation, Fact::Marked(mark));
            }
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
                Message::Mark(_) | Message::Report(..) => {}
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

    fn attach(&mut self, target: Option<Generation>) {
        if self.held.target() != target {
            let mark = self.held.switch(target);
            self.attaches.push_back((target, mark));
        }
    }

    fn supervise(&mut self) {
        let until = self.now + self.hold;
        match self.mailbox.pop_front() {
            None => return,
            Some(Message::Event(event)) => self.held.take(event, until).expect("the event has a place"),
            Some(Message::Mark(mark)) => self.held.marked(mark),
            Some(Message::Report(generation, fact)) => self.reported(generation, fact, until),
            Some(Message::Release(_)) => unreachable!("the supervisor sends it"),
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
            Fact::Ended(events) => {
                self.current = None;
                self.held.ended(generation);
                events.into_iter().for_each(|event| self.held.back(generation, event, until).unwrap());
                self.attach(None);
            }
            Fact::Unsent(event) => self.held.back(generation, event, until).unwrap(),
            Fact::Returned(events) => {
                let events = events.into_iter().map(|event| (event, until)).collect();
                self.held.returned(generation, events).unwrap();
            }
            Fact::Marked(mark) => self.held.marked(mark),
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
            if self.mailbox.is_empty() && self.current.is_some_and(|it| self.connectors[&it].can_send()) {
                return;
            }
            self.supervise();
            self.dial(false);
            if let Some(current) = self.current {
                self.connect(current);
            }
        }
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
    /// A connector handles a message.
    Step(usize),
    /// The newest connection comes up.
    Connect,
    /// The newest connection ends.
    End,
    /// A connector panics.
    Panic(usize),
    PassTime,
}

fn actions(rare: u32) -> impl Strategy<Value = Vec<Action>> {
    let action = prop_oneof![
        6 => Just(Action::Send),
        3 => Just(Action::Switch),
        6 => Just(Action::Supervise),
        2 => any::<bool>().prop_map(Action::Dial),
        6 => (0..3_usize).prop_map(Action::Step),
        2 => Just(Action::Connect),
        1 => Just(Action::End),
        rare => (0..3_usize).prop_map(Action::Panic),
        rare => Just(Action::PassTime),
    ];
    proptest::collection::vec(action, 0..400)
}

/// Checks that the upstream gets the events in order, and that each event has one outcome.
fn check(actions: Vec<Action>) -> Model {
    let mut model = Model::new(Duration::from_secs(1));
    actions.into_iter().for_each(|action| model.run(action));
    model.settle();
    let sent: Vec<_> = model.connectors.values().flat_map(|connector| connector.sent.clone()).collect();
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
    fn events_arrive_in_their_order_and_each_has_one_outcome(actions in actions(1)) {
        check(actions);
    }

    #[test]
    fn no_event_fails_if_no_deadline_passes(actions in actions(0)) {
        let model = check(actions);
        prop_assert!(model.failed.is_empty(), "{:?}", model.failed);
    }
}

#[test]
fn a_connector_waits_for_what_is_on_its_way_from_the_one_before() {
    let (mut held, now) = (Held::default(), Instant::now());
    let (first, second) = (Generation(1), Generation(2));
    let direct = held.switch(Some(first));
    held.marked(direct);
    held.up(first);
    assert_eq!(held.release(), Some(Released { generation: first, events: vec![] }));
    assert_eq!(held.release(), None, "once is enough");
    held.ended(first);
    let old = held.switch(None);
    held.take("direct", now).unwrap();
    let direct = held.switch(Some(second));
    held.up(second);
    held.marked(direct);
    assert_eq!(held.release(), None, "an event of the first connector may still come back");
    held.back(first, "late", now).unwrap();
    held.marked(old);
    assert_eq!(held.release(), Some(Released { generation: second, events: vec!["late", "direct"] }));
    assert_eq!((held.is_empty(), held.spans()), (true, 1));
}

#[test]
fn an_event_without_a_place_is_returned() {
    let (mut held, now) = (Held::default(), Instant::now());
    let mark = held.switch(Some(Generation(1)));
    held.marked(mark);
    assert_eq!(held.take("direct", now), Err("direct"));
    assert_eq!(held.back(Generation(2), "unsent", now), Err("unsent"));
    assert_eq!(held.returned(Generation(2), vec![("returned", now)]), Err(vec!["returned"]));
}

#[test]
fn events_expire_each_at_its_deadline() {
    let (mut held, now) = (Held::default(), Instant::now());
    let second = Duration::from_secs(1);
    held.take("first", now + second).unwrap();
    held.take("second", now + 2 * second).unwrap();
    held.take("third", now).unwrap();
    assert_eq!(held.deadline(), Some(now + second));
    assert!(held.expire(now).is_empty(), "the third does not expire before the second");
    assert_eq!(held.expire(now + second), ["first"]);
    assert_eq!(held.deadline(), Some(now + 2 * second));
    assert_eq!(held.take_all(), ["second", "third"]);
    assert_eq!((held.is_empty(), held.deadline()), (true, None));
}

/// A session moves: its connector gets the mark while it serves, and has not written everything before it.
#[test]
fn a_connector_may_return_unwritten_events_after_its_mark() {
    for stays in [false, true] {
        let (mut held, now) = (Held::default(), Instant::now());
        let (first, second) = (Generation(1), Generation(2));
        let direct = held.switch(Some(first));
        held.marked(direct);
        held.up(first);
        assert!(held.release().is_some());
        let old = held.switch(None);
        held.marked(old);
        held.take("held", now).unwrap();
        let (next, expected) = if stays {
            held.settled(first);
            (first, vec!["held"])
        } else {
            held.ended(first);
            held.back(first, "unwritten", now).expect("it precedes the others");
            held.settled(first);
            (second, vec!["unwritten", "held"])
        };
        let direct = held.switch(Some(next));
        held.up(next);
        held.marked(direct);
        assert_eq!(held.release(), Some(Released { generation: next, events: expected }));
        assert_eq!((held.is_empty(), held.spans()), (true, 1));
    }
}
