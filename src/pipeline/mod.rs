//! A pipeline: the actor that runs one program over the events of one session.
//!
//! It stands between session and connector on the way there, between connector and session on the way
//! back, or on the way of the errors. What a program sends to a port goes to the port's output.

mod actor;
mod chain;
mod messages;
mod output;

pub use actor::Pipeline;
pub use chain::{ChainEnds, LazyChain, PipelineChain};
pub use messages::{Attach, Stage};
pub use output::{Output, UpstreamEdge};
