//! One turn of an actor that drives a socket, and the time of the turn.

use std::{
    pin::Pin,
    task::{self, Poll},
};

use actix::{Actor, AsyncContext, Context, fut::ActorFuture};

use crate::clock;

/// Maximum number of messages and events that are read from one socket in one turn. A busy peer with more of
/// them waits for the other sessions of its thread (guarantee C3). At about a microsecond each, a turn ends
/// within a millisecond.
pub const TURN_STEPS: u32 = 512;

/// An actor with a socket. The actor's context polls it, whenever the socket or a message wakes it.
pub trait Driven: Actor<Context = Context<Self>> {
    /// Reads, acts and writes in one turn. Ready when the actor is done with the socket.
    fn turn(&mut self, ctx: &mut Context<Self>, task: &mut task::Context<'_>) -> Poll<()>;
}

/// Starts polling the actor.
pub fn drive<A: Driven>(ctx: &mut Context<A>) {
    ctx.spawn(Drive);
}

struct Drive;

impl<A: Driven> ActorFuture<A> for Drive {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        actor: &mut A,
        ctx: &mut Context<A>,
        task: &mut task::Context<'_>,
    ) -> Poll<()> {
        actor.turn(ctx, task)
    }
}

/// The current time in nanoseconds since the Unix epoch; 0 before the epoch.
pub fn now_ns() -> u64 {
    clock::since_1970().as_nanos() as u64
}
