//! Towline.
pub mod codec;
pub mod connector;
pub mod event;
pub mod flow;
pub mod format;
pub mod log;
pub mod pipeline;
pub mod processor;
pub mod reply;
pub mod session;
pub mod settings;
pub mod supervisor;
pub mod trickle;
pub mod turn;
pub mod wire;
