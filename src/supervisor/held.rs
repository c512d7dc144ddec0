//! The events for the route's own upstream that are kept while it has no connection, and the order of all events.
//!
//! No actors, sockets or clocks are used here: `now` is passed in, and `E` is an event.
//!
//! The output of the incoming pipelines sends events to the supervisor or to a connector, and the supervisor switches
//! it from one to the other. The time between two switches is a *span*. All events of a span take one way:
//!
//! | target of the span | way of its events | the span is complete when |
//! |---|---|---|
//! | the supervisor | they arrive directly: [`Held::take`] | its mark has arrived |
//! | a connector | the connector sends them; those that it could not send come back: [`Held::back`] | the connector has passed on its mark and has no unwritten event of the span, [`Held::settled`]; or it has died |
//!
//! A session's events are therefore in order if the spans are in order and each span is. A connector serves the last
//! span. It starts gated, and [`Held::release`] returns all events of the earlier spans for it once its connection is
//! up and those spans are complete.
//!
//! The events that a connector had queued for its socket and not written precede all spans: [`Held::unwritten`]. It got
//! them with or after its release, at which all events of earlier spans were taken. If its gate was closed again, it
//! may end while events of a later span are kept.
//!
//! Each event has a deadline, at which [`Held::expire`] returns it. In a span, an event expires no earlier than those
//! before it.

use std::{collections::VecDeque, time::Instant};

use crate::{connector::Generation, flow::Mark, wire::memory};

/// The kept events of a session, in the order in which the output has sent them.
#[derive(Debug)]
pub struct Held<E> {
    /// The events that were queued at a connector and not written, each with its deadline. They precede those of all
    /// spans.
    unwritten: VecDeque<(E, Instant)>,
    /// The earlier spans that are not complete or have events, oldest first.
    earlier: VecDeque<Span<E>>,
    /// The current span.
    last: Span<E>,
    /// Number of events that are kept.
    len: usize,
}

/// The events that the output sends between two switches.
#[derive(Debug)]
struct Span<E> {
    /// The connector to which the output sends; `None` is the supervisor.
    target: Option<Generation>,
    /// The mark that ends the span.
    ends: Mark,
    /// Whether the mark has arrived.
    is_marked: bool,
    /// Whether no event of the span is on its way.
    is_complete: bool,
    stage: Stage,
    /// The events, each with its deadline. An event has no earlier deadline than the one before it.
    events: VecDeque<(E, Instant)>,
}

/// How far the connector of a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It has no connection.
    Down,
    /// It has a connection, and waits at the gate.
    Up,
    /// It has been released.
    Released,
}

/// What a connector gets when it is released.
#[derive(Debug, PartialEq, Eq)]
pub struct Released<E> {
    /// The connector.
    pub generation: Generation,
    /// The events that it sends before those that wait at its gate. May be empty.
    pub events: Vec<E>,
}

impl<E> Default for Held<E> {
    /// The output of a new session sends to the supervisor.
    fn default() -> Self {
        Self { unwritten: VecDeque::new(), earlier: VecDeque::new(), last: Span::new(None, Mark(1)), len: 0 }
    }
}

impl<E> Held<E> {
    /// The output of a new session sends to this connector, whose connection is up.
    pub fn serving(generation: Generation) -> Self {
        let mut held = Self::default();
        held.last.target = Some(generation);
        held.last.stage = Stage::Released;
        held
    }

    /// The number of events that are kept.
    pub fn len(&self) -> usize {
        self.len
    }

    // --- Questions

    /// Whether no event is kept.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of spans that are kept.
    #[cfg(test)]
    pub fn spans(&self) -> usize {
        self.earlier.len() + 1
    }

    /// The connector to which the output sends, or is about to; `None` is the supervisor.
    pub fn target(&self) -> Option<Generation> {
        self.last.target
    }

    /// Whether the output sends to this connector, which sends its events at once.
    pub fn serves(&self, generation: Generation) -> bool {
        self.last.target == Some(generation) && self.last.stage == Stage::Released
    }

    /// The earliest deadline of an event.
    pub fn deadline(&self) -> Option<Instant> {
        let spans = self.earlier.iter().chain([&self.last]).map(|span| &span.events);
        let queues = spans.chain([&self.unwritten]);
        queues.filter_map(VecDeque::front).map(|(_, deadline)| *deadline).min()
    }

    // --- The output

    /// Begins the next span, because the output is switched to `target`. Returns the mark by which the output ends the
    /// span before.
    pub fn switch(&mut self, target: Option<Generation>) -> Mark {
        let mark = self.last.ends;
        let ended = std::mem::replace(&mut self.last, Span::new(target, Mark(mark.0 + 1)));
        self.earlier.push_back(ended);
        self.forget();
        mark
    }

    /// Records that all events before a mark have arrived, here or at the connector. A connector that serves may still
    /// return some that it has not written.
    pub fn marked(&mut self, mark: Mark) {
        if let Some(span) = self.spans_mut().find(|span| span.ends == mark) {
            span.is_marked = true;
            span.is_complete |= span.stage != Stage::Released;
        }
        self.forget();
    }

    // --- Events

    /// Keeps an event that came from the output directly.
    ///
    /// # Errors
    /// Returns the event if the output sends nothing directly in any open span, so that its place is unknown.
    pub fn take(&mut self, event: E, deadline: Instant) -> Result<(), E> {
        let open = self.spans_mut().find(|span| span.target.is_none() && !span.is_complete);
        let Some(span) = open else { return Err(event) };
        span.push(event, deadline);
        self.len += 1;
        Ok(())
    }

    /// Keeps an event of which a connector had queued all messages for its socket and written nothing, behind those
    /// that came back from it so before.
    ///
    /// # Errors
    /// Returns the event if the output has sent nothing to this connector.
    pub fn unwritten(&mut self, generation: Generation, event: E, deadline: Instant) -> Result<(), E> {
        if self.span_of(generation).is_none() {
            return Err(event);
        }
        push(&mut self.unwritten, event, deadline);
        self.len += 1;
        Ok(())
    }

    /// Keeps an event that waited at a connector or arrived after its end, behind those that came back from it before.
    ///
    /// # Errors
    /// Returns the event if the output has sent nothing to this connector.
    pub fn back(&mut self, generation: Generation, event: E, deadline: Instant) -> Result<(), E> {
        let Some(span) = self.span_of(generation) else { return Err(event) };
        span.push(event, deadline);
        self.len += 1;
        Ok(())
    }

    /// Keeps the events with which a connector was released after its end. They precede all others that came back from
    /// it, except those that it has not written.
    ///
    /// # Errors
    /// Returns the events if the output has sent nothing to this connector.
    pub fn returned(&mut self, generation: Generation, events: Vec<(E, Instant)>) -> Result<(), Vec<E>> {
        let Some(span) = self.span_of(generation) else {
            return Err(events.into_iter().map(|(event, _)| event).collect());
        };
        let count = events.len();
        for (event, deadline) in events.into_iter().rev() {
            let next = span.events.front().map_or(deadline, |(_, next)| *next);
            span.events.push_front((event, deadline.min(next)));
        }
        self.len += count;
        Ok(())
    }

    /// Takes the events whose deadline has passed, in order.
    pub fn expire(&mut self, now: Instant) -> Vec<E> {
        let mut expired = Vec::new();
        for events in self.queues_mut() {
            while let Some((event, _)) = events.pop_front_if(|(_, deadline)| *deadline <= now) {
                expired.push(event);
            }
        }
        self.len -= expired.len();
        self.forget();
        expired
    }

    /// Takes all events, in order.
    pub fn take_all(&mut self) -> Vec<E> {
        let all = self.queues_mut().flat_map(|events| events.drain(..)).map(|(event, _)| event).collect();
        self.len = 0;
        self.forget();
        all
    }

    // --- Connectors

    /// Records that the connection of this connector is up.
    pub fn up(&mut self, generation: Generation) {
        if let Some(span) = self.span_of(generation).filter(|span| span.stage == Stage::Down) {
            span.stage = Stage::Up;
        }
    }

    /// Records that this connector has ended. It can still return events, until its mark arrives or, if that has
    /// arrived before, until [`Held::settled`].
    pub fn ended(&mut self, generation: Generation) {
        if let Some(span) = self.span_of(generation) {
            span.stage = Stage::Down;
        }
    }

    /// Records that this connector returns nothing more of what it got before its mark: it has written all, or has
    /// ended and returned the rest.
    pub fn settled(&mut self, generation: Generation) {
        self.complete(|span| span.target == Some(generation) && span.is_marked && !span.is_complete);
    }

    /// Records that this connector has died in a panic. It returns nothing after that.
    pub fn died(&mut self, generation: Generation) {
        self.ended(generation);
        self.complete(|span| span.target == Some(generation));
    }

    /// Takes the events for the connector to which the output sends, if its connection is up and all earlier events
    /// have arrived. Returns each connector once.
    pub fn release(&mut self) -> Option<Released<E>> {
        let generation = self.last.target.filter(|_| self.last.stage == Stage::Up)?;
        if !self.earlier.iter().all(|span| span.is_complete) {
            return None;
        }
        self.last.stage = Stage::Released;
        let earlier = self.earlier.drain(..).flat_map(|span| span.events);
        let events: Vec<_> = self.unwritten.drain(..).chain(earlier).map(|(event, _)| event).collect();
        self.len -= events.len();
        self.forget();
        Some(Released { generation, events })
    }

    // --- Spans

    /// All kept events, in order.
    fn queues_mut(&mut self) -> impl Iterator<Item = &mut VecDeque<(E, Instant)>> {
        let spans = self.earlier.iter_mut().chain([&mut self.last]).map(|span| &mut span.events);
        [&mut self.unwritten].into_iter().chain(spans)
    }

    fn spans_mut(&mut self) -> impl Iterator<Item = &mut Span<E>> {
        self.earlier.iter_mut().chain([&mut self.last])
    }

    fn span_of(&mut self, generation: Generation) -> Option<&mut Span<E>> {
        self.spans_mut().find(|span| span.target == Some(generation) && !span.is_complete)
    }

    /// Completes the first span for which `is_it` returns true.
    fn complete(&mut self, is_it: impl Fn(&Span<E>) -> bool) {
        if let Some(span) = self.spans_mut().find(|span| is_it(span)) {
            span.is_complete = true;
        }
        self.forget();
    }

    /// Removes the earlier spans that are complete and empty.
    fn forget(&mut self) {
        self.earlier.retain(|span| !span.is_complete || !span.events.is_empty());
        memory::shrink_if_idle(&mut self.earlier);
        memory::shrink_if_idle(&mut self.unwritten);
    }
}

impl<E> Span<E> {
    fn new(target: Option<Generation>, ends: Mark) -> Self {
        Self {
            target,
            ends,
            is_marked: false,
            is_complete: false,
            stage: Stage::Down,
            events: VecDeque::new(),
        }
    }

    fn push(&mut self, event: E, deadline: Instant) {
        push(&mut self.events, event, deadline);
    }
}

/// Adds an event, which gets no earlier deadline than the one before it.
fn push<E>(events: &mut VecDeque<(E, Instant)>, event: E, deadline: Instant) {
    let last = events.back().map_or(deadline, |(_, last)| *last);
    events.push_back((event, deadline.max(last)));
}
