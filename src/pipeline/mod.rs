//! A pipeline: the actor that runs one program over the events of one session.
//!
//! After a reload it may run several ones, or none (`programs`).
//!
//! Incoming pipelines are between session and connector, outgoing pipelines between connector and session,
//! and errors pipelines in front of the session. A port of the program leads to an output of the pipeline.

mod actor;
mod chain;
mod journal;
mod messages;
mod output;
mod programs;

pub use actor::{Pipeline, Place};
pub use chain::{ChainEnds, LazyChain, PipelineChain, changes_events, errors_room};
pub use journal::{JournalPortError, check_journal, client_class, upstream_class};
pub use messages::{Attach, Stage};
pub use output::{IsOwnUrl, Output, UpstreamEdge};
