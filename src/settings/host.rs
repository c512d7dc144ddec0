//! The machine that the checks of settings use. Tests replace it.

use std::{
    fs,
    io::{self, Read},
    net::{SocketAddr, ToSocketAddrs},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Maximum size of a settings file or a program, in bytes: more than any person writes. It stops endless
/// files such as `/dev/zero`.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The machine for which settings are checked.
pub trait Host {
    /// Reads a file that the settings name, such as a program.
    ///
    /// # Errors
    /// When the file does not exist, is not a regular file, cannot be read, or is not UTF-8.
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
        read_regular(path)
    }

    fn resolve(&self, address: &str) -> io::Result<Vec<SocketAddr>> {
        Ok(address.to_socket_addrs()?.collect())
    }
}

/// Reads a text of at most [`FILE_BYTES_MAX`] bytes from a file or a pipe. A pipe without writer blocks.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    text(fs::File::open(path)?)
}

/// Reads a text file of at most [`FILE_BYTES_MAX`] bytes that may be read again later, so that a pipe is an error. It
/// waits for no writer.
fn read_regular(path: &Path) -> io::Result<String> {
    // Without the flag, opening a named pipe would wait for a writer.
    let file = fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    text(file)
}

fn text(file: fs::File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let text = format!("longer than {FILE_BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
}
