//! What the checks of settings need from the machine; tests replace it.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    path::Path,
};

use super::layers::read_text;

/// The machine for which settings are checked.
pub trait Host {
    /// Reads the text of a program's file.
    ///
    /// # Errors
    /// When the file does not exist, cannot be read, or is not UTF-8.
    fn read(&self, path: &Path) -> io::Result<String>;

    /// Resolves `host:port` to addresses.
    ///
    /// # Errors
    /// When the name cannot be resolved.
    fn resolve(&self, address: &str) -> io::Result<Vec<SocketAddr>>;
}

/// The machine on which the process runs.
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
