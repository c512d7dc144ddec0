//! `towline completions` and `towline man`: files that packages install, made of the command line's definition.

use std::{fs, io, path::Path};

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{CommandError, print};
use crate::cli::Cli;

/// The name of the program in completions and manual pages.
const NAME: &str = "towline";

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Prints the completions for a shell.
pub(super) fn completions(shell: Shell) -> Result<(), CommandError> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), NAME, &mut text);
    Ok(print(&String::from_utf8_lossy(&text))?)
}

/// Writes the manual pages to a folder.
pub(super) fn man(folder: &Path) -> Result<(), CommandError> {
    let of_folder = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(of_folder)?;
    for (name, page) in pages()? {
        fs::write(folder.join(name), page).map_err(of_folder)?;
    }
    Ok(())
}

/// The pages with the names of their files: one for the program, and one for each command, those within commands
/// included.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let mut pages = vec![(format!("{NAME}.1"), page(root.clone())?)];
    let mut commands: Vec<_> =
        root.get_subcommands().map(|command| (NAME.to_owned(), command.clone())).collect();
    commands.reverse();
    while let Some((parent, command)) = commands.pop() {
        let name = format!("{parent}-{}", command.get_name());
        // `help` within a command repeats what the pages say.
        let within = command.get_subcommands().filter(|command| command.get_name() != "help");
        commands.extend(within.map(|command| (name.clone(), command.clone())));
        pages.push((format!("{name}.1"), page(command.version(VERSION).display_name(name))?));
    }
    Ok(pages)
}

fn page(command: Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command).source(format!("{NAME} {VERSION}")).manual("Towline").render(&mut page)?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_a_page_with_its_options_and_examples() {
        let pages = pages().unwrap();
        let names: Vec<_> = pages.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names[0], "towline.1");
        for command in Cli::command().get_subcommands() {
            let name = format!("towline-{}.1", command.get_name());
            assert!(names.contains(&name.as_str()), "no {name}");
        }
        assert!(names.contains(&"towline-sessions-close.1"), "{names:?}");
        for (name, page) in &pages {
            let text = String::from_utf8(page.clone()).unwrap().replace("\\-", "-");
            for named in text.split_whitespace().filter(|word| word.ends_with("(1)")) {
                let file = format!("{}.1", named.trim_start_matches("\\fB").trim_end_matches("(1)"));
                assert!(names.contains(&file.as_str()), "{name} refers to {named}");
            }
        }
        let run = pages.iter().find(|(name, _)| name == "towline-run.1").unwrap();
        let text = String::from_utf8(run.1.clone()).unwrap();
        for words in [".TH towline-run 1", "TOWLINE_CONFIG", "Examples:", "SIGTERM and SIGINT"] {
            assert!(text.contains(words), "{words} in\n{text}");
        }
        let root = String::from_utf8(pages[0].1.clone()).unwrap();
        assert!(root.contains("towline\\-run(1)"), "{root}");
    }
}
