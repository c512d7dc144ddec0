//! TCP connections: socket options, and connecting to upstreams.

mod connect;
mod options;

pub use self::{
    connect::Connect,
    options::{TcpOptions, tune},
};
