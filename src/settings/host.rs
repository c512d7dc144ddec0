//! The machine that the checks of settings use. Tests replace it.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    path::Path,
};

/// Maximum size of a settings file or a program, in bytes: more than any person writes. It stops endless
/// files such as `/dev/zero`.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The machine for which settings are checked.
pub trait Host {
    /// Reads the file of a program.
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

/// Reads a text file of at most [`FILE_BYTES_MAX`] bytes.
pub(crate) fn read_text(path: &Path) -> std::io::Result<String> {
    use std::io::{Error, ErrorKind, Read};
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Error::new(ErrorKind::FileTooLarge, format!("longer than {FILE_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| Error::new(ErrorKind::InvalidData, error.utf8_error()))
}
