//! The memory that each session takes for its actors.

use actix::{Context, dev::ContextFut};

use crate::{connector::Connector, session::Session, supervisor::Supervisor};

/// What tokio adds to the future of a task: its header, its scheduler and id, and its links to other tasks.
const TASK: usize = 104;

/// tokio aligns tasks to 128 bytes. The allocator adds up to 127 bytes for that, except to blocks of a power of two: a task
/// of 1,032 bytes takes 1,280.
const BLOCK: usize = 1024;

#[test]
fn each_actor_of_a_session_fits_in_a_block() {
    let sizes = [
        ("session", size_of::<ContextFut<Session, Context<Session>>>()),
        ("connector", size_of::<ContextFut<Connector, Context<Connector>>>()),
        ("supervisor", size_of::<ContextFut<Supervisor, Context<Supervisor>>>()),
    ];
    println!("{sizes:?}");
    for (actor, size) in sizes {
        assert!(size + TASK <= BLOCK, "the task of the {actor} has {} bytes", size + TASK);
    }
}
