//! The program's own echo server, as a process.

use std::path::Path;

use super::{Port, Program};

/// `towline echo` as a process that can be killed and started again on the same port.
#[derive(Debug)]
pub struct EchoProcess {
    port: Port,
    program: Option<Program>,
}

impl EchoProcess {
    /// Starts the server on a free port.
    pub fn start() -> Self {
        let mut echo = Self { port: Port::take(), program: None };
        echo.start_again();
        echo
    }

    /// Starts the server again on the same port.
    pub fn start_again(&mut self) {
        let bind = self.port.addr().to_string();
        let program = Program::start(&["echo", "--bind", &bind], &[], Path::new("."));
        program.wait_log(&format!("listening echo *address={bind}"));
        self.program = Some(program);
    }

    /// Kills the process, as `kill -9` does.
    pub fn kill(&mut self) {
        self.program.take().expect("it runs").kill();
    }

    /// The URL `ws://127.0.0.1:PORT` of the server.
    pub fn url(&self) -> String {
        self.port.url()
    }
}
