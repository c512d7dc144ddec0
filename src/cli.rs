//! The command line: commands, options and exit codes.

mod tap;

pub use self::tap::{Access, Replay, Tap};
mod operator;

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

pub use self::operator::{
    AdminOptions, CloseSessions, Conditions, EndpointName, Events, EventsCommand, ListEvents, ListSessions,
    RenewSession, Sessions, SessionsCommand, Upstreams, UpstreamsCommand,
};

/// Exit code of a clean end.
pub const EXIT_OK: u8 = 0;
/// Exit code of failures that have no other code.
pub const EXIT_FAILURE: u8 = 1;
/// Exit code for wrong usage of the command line, the same as clap's.
pub const EXIT_USAGE: u8 = 2;
/// Exit code for invalid settings: `EX_CONFIG` of BSD's `sysexits.h`.
pub const EXIT_CONFIG: u8 = 78;

const EXAMPLES: &str = "\
Try it:
  towline demo
  echo hello | websocat -n1 ws://127.0.0.1:9139

Exit codes: 0 clean end, 2 wrong usage, 78 wrong settings, 1 anything else.";

const RUN_EXAMPLES: &str = "\
Examples:
  towline run --to ws://127.0.0.1:8139
  towline run --listen 0.0.0.0:80 --listen '[::]:80' --to ws://10.0.0.7:8139/chat
  towline run
  towline run --config /etc/towline.toml
  TOWLINE__LISTENER__WS__BIND=0.0.0.0:80 towline run

The environment variable TOWLINE__SECTION__KEY overrides a key; commas separate the items of a list.
SIGTERM and SIGINT drain the sessions and end the program; a second signal ends it at once with exit
code 1. SIGUSR2 starts the program again, hands it the listening sockets, and drains. SIGHUP reloads the
settings; a file with errors changes nothing.";

const CHECK_EXAMPLES: &str = "\
Examples:
  towline check --config /etc/towline.toml
  towline check && systemctl restart towline
  towline check --changed --listen 0.0.0.0:80 --to ws://10.0.0.7:8139 > towline.toml

Opens no socket. The output is a settings file with masked secrets; a masked secret is refused when the
file is read back. If the settings have errors, lists all of them and exits with 78.";

const DEMO_EXAMPLES: &str = "\
In another terminal:
  echo hello | websocat -n1 ws://127.0.0.1:9139
  echo snot | websocat -n1 ws://127.0.0.1:9139";

const INIT_EXAMPLES: &str = "\
Examples:
  towline init
  towline init /etc/towline.toml
  towline init - | less

The file has every key with its meaning and its default. An existing file is never overwritten.";

const ECHO_EXAMPLES: &str = "\
Examples:
  towline echo
  towline echo --bind 127.0.0.1:9000

Sends each line of a message back as a message, without its newline. Answers the line `snot` with
`badger`.";

const HEALTH_EXAMPLES: &str = "\
Examples:
  towline health
  towline health http://127.0.0.1:9140/readyz

Exits with 0 if the answer is 200, and with 1 otherwise. Use it for health checks of containers.";

const SESSIONS_EXAMPLES: &str = "\
Examples:
  towline sessions list --sort errored --limit 20
  towline sessions show 1:42
  towline sessions close 1:42 --token-file /etc/towline/admin.token
  towline sessions renew 1:42 --subject 7 --for 2h
  towline sessions close --claim sub=7 --code 1008 --reason 'access revoked'

The admin server answers at --admin or TOWLINE_ADMIN. Actions need the token of admin.token_file.";

const EVENTS_EXAMPLES: &str = "\
Examples:
  towline events show 1:42:7
  towline events list --session 1:42
  towline events list --stage upstream --limit 20 --json

The proxy keeps the latest 4096 failed events, also those of sessions that have ended.";

const UPSTREAMS_EXAMPLES: &str = "\
Examples:
  towline upstreams list
  towline upstreams drain chat ws://10.0.0.7:8139 --rate 50
  towline upstreams undrain chat 1
  towline upstreams move chat 2 --count 100
  towline upstreams abort chat 2";

const DRAIN_EXAMPLES: &str = "\
Examples:
  towline drain --token-file /etc/towline/admin.token

Has the effect of SIGTERM: sessions drain within drain.window and drain.grace, then the proxy exits with 0.";

const RELOAD_EXAMPLES: &str = "\
Examples:
  towline reload --token-file /etc/towline/admin.token

Has the effect of SIGHUP, and prints what has changed. If the settings have errors, nothing changes: the
errors are printed, and the exit code is 78.";

const RELOADS_EXAMPLES: &str = "\
Examples:
  towline reloads
  towline reloads --json

Each reload has its time, who requested it, and its changes, or the problems that prevented it.";

const CONFIGURATION_EXAMPLES: &str = "\
Examples:
  towline configuration
  towline configuration > in-force.toml

Secrets are masked. `towline check` prints the effective settings of a file that is not in use yet.";

const EVAL_EXAMPLES: &str = "\
Examples:
  echo '{\"type\":\"a\"}' | towline eval filter.trickle
  towline eval double.tremor --in numbers.jsonl --meta
  towline eval route.trickle --module-path lib --in events.jsonl

Each line of the input is one JSON value; each output is one line {\"port\":\"out\",\"data\":...}.
Errors go to standard error, and evaluation continues with the next line.
Exits with 1 if the program does not compile or a line fails.";

const FMT_EXAMPLES: &str = "\
Examples:
  towline fmt settings/pipelines/*.trickle
  towline fmt --check settings/pipelines/*.trickle
  towline fmt - < old.trickle > new.trickle

A file that does not parse stays unchanged; its errors go to standard error.
Exits with 1 if any file does not parse, and with --check if a file would change.";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  towline completions bash > /usr/share/bash-completion/completions/towline
  towline completions zsh > /usr/local/share/zsh/site-functions/_towline
  towline completions fish > ~/.config/fish/completions/towline.fish";

const MAN_EXAMPLES: &str = "\
Examples:
  towline man /usr/local/share/man/man1
  towline man . && man ./towline-run.1

Writes towline.1, and a page for each command, such as towline-run.1. Existing pages are replaced.";

/// A programmable WebSocket proxy. When an upstream is lost, it keeps the client (the default for requests), or
/// closes it and names the messages that may be lost (the default for streams)
#[derive(Debug, Parser, PartialEq)]
#[command(version, after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands of the program.
#[derive(Debug, Subcommand, PartialEq)]
pub enum Command {
    /// Run the proxy
    #[command(after_help = RUN_EXAMPLES)]
    Run(Source),
    /// Check the settings, and print the effective values and their origins
    #[command(after_help = CHECK_EXAMPLES)]
    Check(Check),
    /// Write a settings file with comments
    #[command(after_help = INIT_EXAMPLES)]
    Init(Init),
    /// Run the proxy with an echo server as its upstream, to try it out
    #[command(after_help = DEMO_EXAMPLES)]
    Demo(Demo),
    /// Run only the echo server, as an upstream for experiments
    #[command(after_help = ECHO_EXAMPLES)]
    Echo(Echo),
    /// Check the health of a running proxy
    #[command(after_help = HEALTH_EXAMPLES)]
    Health(Health),
    /// Follow the messages and outcomes of a running proxy
    #[command(after_help = tap::TAP_EXAMPLES)]
    Tap(Tap),
    /// Send the messages of a record again, and compare what comes back
    #[command(after_help = tap::REPLAY_EXAMPLES)]
    Replay(Replay),
    /// List, show, close and renew the sessions of a running proxy
    #[command(after_help = SESSIONS_EXAMPLES)]
    Sessions(Sessions),
    /// List and show the failed events of a running proxy
    #[command(after_help = EVENTS_EXAMPLES)]
    Events(Events),
    /// List the upstreams of a running proxy, and move sessions between their endpoints
    #[command(after_help = UPSTREAMS_EXAMPLES)]
    Upstreams(Upstreams),
    /// Drain a running proxy: close its sessions, then end it
    #[command(after_help = DRAIN_EXAMPLES)]
    Drain(AdminOptions),
    /// Reload the settings of a running proxy
    #[command(after_help = RELOAD_EXAMPLES)]
    Reload(AdminOptions),
    /// List the latest reloads of a running proxy, newest first
    #[command(after_help = RELOADS_EXAMPLES)]
    Reloads(AdminOptions),
    /// Print the effective settings of a running proxy
    #[command(after_help = CONFIGURATION_EXAMPLES)]
    Configuration(AdminOptions),
    /// Run a program (.trickle) or a script (.tremor) over lines of JSON
    #[command(after_help = EVAL_EXAMPLES)]
    Eval(Eval),
    /// Format programs and scripts
    #[command(after_help = FMT_EXAMPLES)]
    Fmt(Fmt),
    /// Print completions for a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions(Completions),
    /// Write the manual pages
    #[command(after_help = MAN_EXAMPLES)]
    Man(Man),
}

/// The source of the settings: a file, or `--listen` and `--to`.
#[derive(Debug, Clone, Args, PartialEq, Eq)]
pub struct Source {
    /// The settings file [default: settings/default.toml]
    #[arg(long, short, value_name = "FILE", env = "TOWLINE_CONFIG")]
    pub config: Option<PathBuf>,
    /// Use this upstream, without a settings file
    #[arg(long, value_name = "URL")]
    pub to: Option<String>,
    /// The address to listen on, with --to; can be repeated [default: 127.0.0.1:9139]
    #[arg(long, value_name = "ADDR:PORT", requires = "to")]
    pub listen: Vec<String>,
}

/// The options of `towline check`.
#[derive(Debug, Args, PartialEq, Eq)]
pub struct Check {
    /// The source of the settings.
    #[command(flatten)]
    pub source: Source,
    /// Print only what differs from the defaults
    #[arg(long)]
    pub changed: bool,
    /// Treat warnings as errors
    #[arg(long)]
    pub strict: bool,
}

/// The options of `towline init`.
#[derive(Debug, Args, PartialEq, Eq)]
pub struct Init {
    /// The file to write; - is standard output
    #[arg(value_name = "FILE", default_value = "towline.toml")]
    pub file: PathBuf,
}

/// The options of `towline demo`.
#[derive(Debug, Args, PartialEq, Eq)]
pub struct Demo {
    /// The settings file [default: built in]
    #[arg(long, short, value_name = "FILE", env = "TOWLINE_CONFIG")]
    pub config: Option<PathBuf>,
}

/// The options of `towline echo`.
#[derive(Debug, Args, PartialEq, Eq)]
pub struct Echo {
    /// The address to listen on
    #[arg(
        long,
        short,
        value_name = "ADDR:PORT",
        default_value = "127.0.0.1:8139",
        env = "TOWLINE_ECHO_BIND"
    )]
    pub bind: SocketAddr,
}

/// The options of `towline health`.
#[derive(Debug, Args, PartialEq, Eq)]
pub struct Health {
    /// The URL of a health page [default: /healthz of the admin server]
    pub url: Option<String>,
    /// The admin server of the proxy
    #[arg(long, value_name = "URL", env = "TOWLINE_ADMIN", default_value = "http://127.0.0.1:9140")]
    pub admin: String,
}

/// The options of `towline eval`.
#[derive(Debug, Args, PartialEq, Eq)]
pub struct Eval {
    /// The program, or a script if its name ends in .tremor
    #[arg(value_name = "FILE")]
    pub program: PathBuf,
    /// The input [default: standard input]
    #[arg(long = "in", value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// A folder of modules; can be repeated
    #[arg(long, value_name = "DIR")]
    pub module_path: Vec<PathBuf>,
    /// Show the metadata of outputs
    #[arg(long)]
    pub meta: bool,
    /// Treat warnings as errors
    #[arg(long)]
    pub strict: bool,
}

/// The options of `towline fmt`.
#[derive(Debug, Args, PartialEq, Eq)]
pub struct Fmt {
    /// Change nothing; name the files that would change
    #[arg(long)]
    pub check: bool,
    /// Programs and scripts (.tremor); - is standard input, formatted to standard output
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// The options of `towline completions`.
#[derive(Debug, Args, PartialEq, Eq)]
pub struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// The options of `towline man`.
#[derive(Debug, Args, PartialEq, Eq)]
pub struct Man {
    /// The folder for the pages; it is created if it does not exist
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, error::ErrorKind};

    use super::*;

    fn parsed(line: &str) -> Result<Command, ErrorKind> {
        let words = std::iter::once("towline").chain(line.split_whitespace());
        Cli::try_parse_from(words).map(|cli| cli.command).map_err(|error| error.kind())
    }

    #[test]
    fn the_definition_of_the_commands_is_valid() {
        Cli::command().debug_assert();
    }

    #[test]
    fn commands_take_their_options() {
        let source = |file: &str| Source { config: Some(file.into()), to: None, listen: Vec::new() };
        assert_eq!(parsed("run --config a.toml"), Ok(Command::Run(source("a.toml"))));
        let check = |changed, strict| Ok(Command::Check(Check { source: source("a.toml"), changed, strict }));
        assert_eq!(parsed("check -c a.toml"), check(false, false));
        assert_eq!(parsed("check -c a.toml --changed --strict"), check(true, true));
        assert_eq!(parsed("demo --config=a.toml"), Ok(Command::Demo(Demo { config: Some("a.toml".into()) })));
        assert_eq!(parsed("init"), Ok(Command::Init(Init { file: "towline.toml".into() })));
        let bind = "127.0.0.1:0".parse().unwrap();
        assert_eq!(parsed("echo --bind 127.0.0.1:0"), Ok(Command::Echo(Echo { bind })));
        let health = |url: Option<&str>, admin: &str| {
            Ok(Command::Health(Health { url: url.map(str::to_owned), admin: admin.to_owned() }))
        };
        let default = "http://127.0.0.1:9140";
        assert_eq!(parsed("health"), health(None, default));
        assert_eq!(parsed("health http://h:1/readyz"), health(Some("http://h:1/readyz"), default));
        assert_eq!(parsed("health --admin http://h:1"), health(None, "http://h:1"));
    }

    #[test]
    fn run_needs_no_file() {
        let source = |listen: &[&str]| {
            let listen = listen.iter().map(|address| (*address).to_owned()).collect();
            Ok(Command::Run(Source { config: None, to: Some("ws://h".to_owned()), listen }))
        };
        assert_eq!(parsed("run --to ws://h"), source(&[]));
        assert_eq!(parsed("run --listen a:1 --listen b:2 --to ws://h"), source(&["a:1", "b:2"]));
        assert_eq!(parsed("run --listen a:1"), Err(ErrorKind::MissingRequiredArgument));
    }

    #[test]
    fn tools_take_their_options() {
        let eval = Eval {
            program: "a.trickle".into(),
            input: Some("b".into()),
            module_path: vec!["c".into(), "d".into()],
            meta: true,
            strict: true,
        };
        let line = "eval a.trickle --in b --module-path c --module-path d --meta --strict";
        assert_eq!(parsed(line), Ok(Command::Eval(eval)));
        let fmt = Fmt { check: true, files: vec!["-".into(), "b".into()] };
        assert_eq!(parsed("fmt --check - b"), Ok(Command::Fmt(fmt)));
        assert_eq!(parsed("fmt"), Err(ErrorKind::MissingRequiredArgument));
    }

    #[test]
    fn generated_files_are_chosen_by_shell_and_folder() {
        let bash = Completions { shell: Shell::Bash };
        assert_eq!(parsed("completions bash"), Ok(Command::Completions(bash)));
        assert_eq!(parsed("completions csh"), Err(ErrorKind::InvalidValue));
        assert_eq!(parsed("man a/b"), Ok(Command::Man(Man { folder: "a/b".into() })));
    }

    #[test]
    fn wrong_usage_is_an_error() {
        assert_eq!(parsed("run extra"), Err(ErrorKind::UnknownArgument));
        assert_eq!(parsed("fly"), Err(ErrorKind::InvalidSubcommand));
        assert_eq!(parsed("echo --bind nowhere"), Err(ErrorKind::ValueValidation));
        assert_eq!(parsed(""), Err(ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand));
        let error = Cli::try_parse_from(["towline", "fly"]).unwrap_err();
        assert_eq!(error.exit_code(), i32::from(EXIT_USAGE));
    }

    #[test]
    fn the_help_of_run_describes_signals() {
        let mut root = Cli::command();
        let help = root.find_subcommand_mut("run").unwrap().render_long_help().to_string();
        let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("SIGTERM and SIGINT drain the sessions"), "{help}");
        assert!(words.contains("a second signal ends it at once with exit code 1"), "{help}");
        let help = root.render_long_help().to_string();
        assert!(!help.contains("keeps its clients while"), "streams are closed by default: {help}");
    }

    #[test]
    fn every_help_text_has_an_example_and_names_the_environment() {
        let mut root = Cli::command();
        root.build();
        for command in root.get_subcommands_mut().filter(|command| command.get_name() != "help") {
            let help = command.render_long_help().to_string();
            assert!(help.contains("towline ") || help.contains("websocat "), "{help}");
            if help.contains("--config") {
                assert!(help.contains("TOWLINE_CONFIG"), "{help}");
            }
        }
    }
}
