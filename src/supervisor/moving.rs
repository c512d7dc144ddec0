//! The move of a session to another connection of its upstream, while its client stays.
//!
//! No actors, sockets or clocks are used here: `D` is a dialed connection that no connector serves yet, and `S` is the
//! slot of the move, which ends with it. Each method is an input of the state machine, and returns what the supervisor
//! must do.
//!
//! ```text
//! No ─► Dialing ─► Turning ─► Yielding ─► Started ─► No, moved
//!          │          │          └──► Returning ───► No, stayed
//!          ▼          └─────────────► Started
//!      Replacing ───────────────────► Started
//! ```
//!
//! From *Turning* on, the output sends events to the supervisor, which keeps them for the next connection.

use crate::flow::Mark;

/// The state of a move.
#[derive(Debug)]
pub enum Moving<D, S> {
    /// The session does not move.
    No,
    /// The other connection is dialed. The session's connection serves.
    Dialing(S),
    /// The output has been switched to the supervisor. Events before this mark may still be on their way to the
    /// connector.
    Turning(D, S, Mark),
    /// The connector has received all of its events. It waits for their outcomes, and closes its connection.
    Yielding(D, S),
    /// The session's connection was lost, and the dial in progress is for the next one.
    Replacing(S),
    /// A connector has been started on the other connection. It has not been released yet.
    Started(S),
    /// The connector did not become quiet in time, and continues. It has not been released yet.
    Returning(S),
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum MoveStep<D> {
    /// Nothing.
    Nothing,
    /// Switch the output to the supervisor, and call [`Moving::turn`] with the mark.
    Turn,
    /// Have the connector yield.
    Yield,
    /// Start a connector on this connection.
    Start(D),
    /// Close this connection, and switch the output back to the connector.
    Return(D),
    /// Close this connection, which is not needed.
    Dismiss(D),
    /// Treat the loss of the session's connection as if there had been no move.
    Redial,
}

impl<D, S> Moving<D, S> {
    // --- Questions

    /// Whether the session moves.
    #[cfg(test)]
    fn is_moving(&self) -> bool {
        !matches!(self, Self::No)
    }

    /// Whether the supervisor keeps the events that the output sends to it.
    pub fn keeps_events(&self) -> bool {
        !matches!(self, Self::No | Self::Dialing(_) | Self::Replacing(_))
    }

    /// Whether the connector that has ended has served all events that it got, so that its end is no loss.
    pub fn is_yielding(&self) -> bool {
        matches!(self, Self::Yielding(..))
    }

    /// Whether another connection is dialed, which takes the place of the session's connection if that ends now.
    pub fn has_other(&self) -> bool {
        matches!(self, Self::Dialing(_) | Self::Turning(..) | Self::Yielding(..))
    }

    /// The slot of the move.
    pub fn slot_mut(&mut self) -> Option<&mut S> {
        match self {
            Self::No => None,
            Self::Dialing(slot)
            | Self::Turning(_, slot, _)
            | Self::Yielding(_, slot)
            | Self::Replacing(slot)
            | Self::Started(slot)
            | Self::Returning(slot) => Some(slot),
        }
    }

    // --- Inputs

    /// The move begins: the other connection is dialed.
    ///
    /// # Errors
    /// Returns the slot if the session moves already.
    pub fn begin(&mut self, slot: S) -> Result<(), S> {
        match self {
            Self::No => {
                *self = Self::Dialing(slot);
                Ok(())
            }
            _ => Err(slot),
        }
    }

    /// The dial has ended: with a connection, or without.
    pub fn dialed(&mut self, other: Option<D>) -> MoveStep<D> {
        match (std::mem::replace(self, Self::No), other) {
            (Self::Dialing(slot), Some(other)) => {
                // `turn` follows with the mark.
                *self = Self::Turning(other, slot, Mark(0));
                MoveStep::Turn
            }
            (Self::Replacing(slot), Some(other)) => {
                *self = Self::Started(slot);
                MoveStep::Start(other)
            }
            (Self::Replacing(_), None) => MoveStep::Redial,
            (Self::Dialing(_), None) => MoveStep::Nothing,
            (state, other) => {
                *self = state;
                other.map_or(MoveStep::Nothing, MoveStep::Dismiss)
            }
        }
    }

    /// The output has been switched to the supervisor, with this mark.
    pub fn turn(&mut self, switched: Mark) {
        if let Self::Turning(_, _, mark) = self {
            *mark = switched;
        }
    }

    /// The connector has got all events before the mark.
    pub fn marked(&mut self, arrived: Mark) -> MoveStep<D> {
        match std::mem::replace(self, Self::No) {
            Self::Turning(other, slot, mark) if mark == arrived => {
                *self = Self::Yielding(other, slot);
                MoveStep::Yield
            }
            state => {
                *self = state;
                MoveStep::Nothing
            }
        }
    }

    /// The connector did not become quiet in time, and continues.
    pub fn stayed(&mut self) -> MoveStep<D> {
        match std::mem::replace(self, Self::No) {
            Self::Yielding(other, slot) => {
                *self = Self::Returning(slot);
                MoveStep::Return(other)
            }
            state => {
                *self = state;
                MoveStep::Nothing
            }
        }
    }

    /// The session's connection has ended, and the client stays.
    pub fn ended(&mut self) -> MoveStep<D> {
        match std::mem::replace(self, Self::No) {
            Self::Dialing(slot) => {
                *self = Self::Replacing(slot);
                MoveStep::Nothing
            }
            Self::Turning(other, slot, _) | Self::Yielding(other, slot) => {
                *self = Self::Started(slot);
                MoveStep::Start(other)
            }
            Self::No | Self::Started(_) | Self::Returning(_) | Self::Replacing(_) => MoveStep::Redial,
        }
    }

    /// The attached connector has been released. Returns the slot if the session has moved.
    pub fn released(&mut self) -> Option<S> {
        match std::mem::replace(self, Self::No) {
            Self::Started(slot) => Some(slot),
            Self::Returning(_) => None,
            state => {
                *self = state;
                None
            }
        }
    }

    /// The session stays from now on. A move whose other connection is up continues, and so does the dial of the next
    /// connection.
    pub fn call_off(&mut self) {
        if let Self::Dialing(_) = self {
            *self = Self::No;
        }
    }

    /// The session ends. Returns the connection to close, if there is one.
    pub fn stop(&mut self) -> Option<D> {
        match std::mem::replace(self, Self::No) {
            Self::Turning(other, ..) | Self::Yielding(other, _) => Some(other),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Test = Moving<&'static str, &'static str>;

    fn dialing() -> Test {
        let mut moving = Test::No;
        assert_eq!(moving.begin("slot"), Ok(()));
        moving
    }

    fn yielding() -> Test {
        let mut moving = dialing();
        assert_eq!(moving.dialed(Some("other")), MoveStep::Turn);
        moving.turn(Mark(7));
        assert_eq!(moving.marked(Mark(6)), MoveStep::Nothing, "an earlier switch");
        assert_eq!(moving.marked(Mark(7)), MoveStep::Yield);
        moving
    }

    #[test]
    fn a_move_that_is_called_off_dismisses_the_other_connection() {
        let mut moving = dialing();
        moving.call_off();
        assert!(!moving.is_moving());
        assert_eq!(moving.dialed(Some("other")), MoveStep::Dismiss("other"));
        let mut moving = yielding();
        moving.call_off();
        assert_eq!(moving.ended(), MoveStep::Start("other"), "the output has been switched");
        let mut moving = dialing();
        assert_eq!(moving.ended(), MoveStep::Nothing);
        moving.call_off();
        assert_eq!(moving.dialed(Some("next")), MoveStep::Start("next"), "the session needs it");
    }

    #[test]
    fn a_session_moves_once_its_connector_has_served_its_events() {
        let mut moving = yielding();
        assert!(moving.keeps_events() && moving.is_yielding());
        assert_eq!(moving.ended(), MoveStep::Start("other"));
        assert!(moving.keeps_events(), "until the new connector is released");
        assert_eq!(moving.released(), Some("slot"));
        assert!(!moving.is_moving());
    }

    #[test]
    fn a_connector_that_does_not_become_quiet_goes_on() {
        let mut moving = yielding();
        assert_eq!(moving.stayed(), MoveStep::Return("other"));
        assert!(moving.keeps_events(), "until the connector is released");
        assert_eq!(moving.released(), None);
        assert!(!moving.is_moving());
    }

    #[test]
    fn a_session_stays_if_the_other_endpoint_cannot_be_reached() {
        let mut moving = dialing();
        assert_eq!(moving.begin("second"), Err("second"), "one move at a time");
        assert!(!moving.keeps_events());
        assert_eq!(moving.dialed(None), MoveStep::Nothing);
        assert!(!moving.is_moving());
    }

    #[test]
    fn a_loss_during_the_move_uses_the_other_connection_at_once() {
        let mut moving = dialing();
        assert_eq!(moving.ended(), MoveStep::Nothing, "the dial is in progress");
        assert!(!moving.keeps_events());
        assert_eq!(moving.dialed(Some("other")), MoveStep::Start("other"));
        let mut moving = dialing();
        assert_eq!(moving.ended(), MoveStep::Nothing);
        assert_eq!(moving.dialed(None), MoveStep::Redial);
        assert!(!moving.is_moving());
        let mut moving = dialing();
        assert_eq!(moving.dialed(Some("other")), MoveStep::Turn);
        assert_eq!(moving.ended(), MoveStep::Start("other"));
        assert_eq!(moving.ended(), MoveStep::Redial, "the other connection was lost as well");
        assert!(!moving.is_moving());
    }

    #[derive(Debug, Clone, Copy)]
    enum Input {
        Begin,
        Dialed(bool),
        Marked,
        Stayed,
        Ended,
        Released,
        Stop,
    }

    fn inputs() -> impl Strategy<Value = Vec<Input>> {
        let input = prop_oneof![
            2 => Just(Input::Begin),
            2 => any::<bool>().prop_map(Input::Dialed),
            2 => Just(Input::Marked),
            1 => Just(Input::Stayed),
            1 => Just(Input::Ended),
            1 => Just(Input::Released),
            1 => Just(Input::Stop),
        ];
        proptest::collection::vec(input, 0..60)
    }

    proptest! {
        /// In any order of inputs, each connection that was dialed is started or closed once.
        #[test]
        fn no_connection_is_forgotten_or_used_twice(inputs in inputs()) {
            let mut moving: Moving<u32, ()> = Moving::No;
            let (mut dialed, mut used, mut mark) = (0, Vec::new(), Mark(0));
            for input in inputs {
                let step = match input {
                    Input::Begin => {
                        let was_moving = moving.is_moving();
                        prop_assert_eq!(moving.begin(()).is_ok(), !was_moving);
                        MoveStep::Nothing
                    }
                    Input::Dialed(true) => {
                        dialed += 1;
                        moving.dialed(Some(dialed))
                    }
                    Input::Dialed(false) => moving.dialed(None),
                    Input::Marked => moving.marked(mark),
                    Input::Stayed => moving.stayed(),
                    Input::Ended => {
                        let has_other = moving.has_other();
                        let step = moving.ended();
                        prop_assert_eq!(has_other, step != MoveStep::Redial);
                        step
                    }
                    Input::Released => {
                        moving.released();
                        MoveStep::Nothing
                    }
                    Input::Stop => moving.stop().map_or(MoveStep::Nothing, MoveStep::Dismiss),
                };
                match step {
                    MoveStep::Turn => {
                        mark = Mark(mark.0 + 1);
                        moving.turn(mark);
                    }
                    MoveStep::Start(other) | MoveStep::Return(other) | MoveStep::Dismiss(other) => used.push(other),
                    MoveStep::Nothing | MoveStep::Yield | MoveStep::Redial => {}
                }
            }
            used.extend(moving.stop());
            used.sort_unstable();
            prop_assert_eq!(used, (1..=dialed).collect::<Vec<_>>());
        }
    }
}
