//! JSON messages: paths, spans, and the patterns that recognise a message.

pub(crate) mod path;
pub(crate) mod scan;
