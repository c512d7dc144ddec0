//! One turn of an actor that drives a socket, and the time of the turn.

use std::{
    pin::Pin,
    task::{self, Poll},
    time::{SystemTime, UNIX_EPOCH},
};

use actix::{Actor, AsyncContext, Context, fut::ActorFuture};

/// Messages and events taken from one socket in one turn. After that many, a busy peer waits for the other
/// sessions of its thread (C3). At about a microsecond each, a turn ends within a millisecond.
pub const TURN_STEPS: usize = 512;

/// An actor with a socket. It is polled as a future of the actor's context, whenever the socket or a message
/// wakes it, with access to itself and the context.
pub trait Driven: Actor<Context = Context<Self>> {
    /// Reads, acts and writes. Ready when the actor is done with the socket.
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

/// Nanoseconds since the Unix epoch; 0 before it.
pub fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}
