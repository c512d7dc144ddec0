//! The command `towline eval`.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use super::{
    CommandError,
    error::{named, read},
};
use crate::{
    cli::Eval,
    settings,
    tools::eval::{Evaluation, Subject},
};

/// Runs a program over lines of JSON.
pub(super) fn eval(options: &Eval) -> Result<(), CommandError> {
    let name = options.program.display().to_string();
    let text = read(&options.program)?;
    for folder in &options.module_path {
        fs::read_dir(folder).map_err(|error| named(folder, &error))?;
    }
    let modules = settings::Folders::new(options.module_path.clone(), &settings::Machine);
    let subject = Subject::compile_with(&name, &text, &modules);
    let subject = subject.map_err(|errors| CommandError::Program(errors.to_string()))?;
    if let Some(warnings) = subject.warnings() {
        if options.strict {
            return Err(CommandError::Program(warnings.to_string()));
        }
        writeln!(io::stderr(), "{warnings}\n")?;
    }
    let mut output = io::BufWriter::new(io::stdout().lock());
    let mut errors = io::stderr().lock();
    let mut evaluation = Evaluation::new(subject, options.meta);
    let ended = match &options.input {
        Some(file) => evaluation.run(open(file)?, &mut output, &mut errors),
        None => evaluation.run(io::stdin().lock(), &mut output, &mut errors),
    };
    match ended {
        Ok(true) => Ok(()),
        Ok(false) => Err(CommandError::Reported),
        // The reader has closed the output, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn open(file: &Path) -> io::Result<File> {
    File::open(file).map_err(|error| named(file, &error))
}
