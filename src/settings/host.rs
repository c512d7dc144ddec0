//! The machine that the checks of settings use. Tests replace it.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    path::Path,
};

use crate::files::{read_regular, read_with_mode};

/// The machine for which settings are checked.
pub trait Host {
    /// Reads a file that the settings name, such as a program.
    ///
    /// # Errors
    /// When the file does not exist, is not a regular file, cannot be read, or is not UTF-8.
    fn read(&self, path: &Path) -> io::Result<String>;

    /// Reads a file that the settings name, with its permissions.
    ///
    /// # Errors
    /// The same errors as [`Host::read`].
    fn read_with_mode(&self, path: &Path) -> io::Result<(String, u32)>;

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
        read_regular(path)
    }

    fn read_with_mode(&self, path: &Path) -> io::Result<(String, u32)> {
        read_with_mode(path)
    }

    fn resolve(&self, address: &str) -> io::Result<Vec<SocketAddr>> {
        Ok(address.to_socket_addrs()?.collect())
    }
}
