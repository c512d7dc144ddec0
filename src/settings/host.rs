//! What checking settings asks of the machine, so that it can be checked without one.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    path::Path,
};

use super::layers::read_text;

/// Where the settings are checked.
pub trait Host {
    /// The text of a program's file.
    ///
    /// # Errors
    /// When there is none, it cannot be read, or it is no text.
    fn read(&self, path: &Path) -> io::Result<String>;

    /// The addresses of `host:port`.
    ///
    /// # Errors
    /// When the name cannot be found.
    fn resolve(&self, address: &str) -> io::Result<Vec<SocketAddr>>;
}

/// This machine.
#[derive(Debug, Clone, Copy)]
pub struct Machine;

impl Host for Machine {
    fn read(&self, path: &Path) -> io::Result<String> {
        read_text(path)
    }

    fn resolve(&self, address: &str) -> io::Result<Vec<SocketAddr>> {
        Ok(address.to_socket_addrs()?.collect())
    }
}
