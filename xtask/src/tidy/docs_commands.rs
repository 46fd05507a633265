//! Rule: commands that the docs tell a reader to type exist.

use clap::CommandFactory;

use super::Tree;
use super::markdown::{Piece, pieces};
use super::rules::Finding;
use super::server_commands::Commands;
use crate::cli::Cli;

/// Our programs, and where the source of their command line lies.
const PROGRAMS: &[(&str, &str)] = &[("rollcall", "src"), ("rollcall-load", "benches/load/src")];

/// Finds subcommands in the docs that our programs do not have.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let programs: Vec<(&str, Commands)> =
        PROGRAMS.iter().map(|&(program, folder)| (program, Commands::of_program(tree, folder))).collect();
    let mut findings = Vec::new();
    for (path, text) in tree.markdown_files() {
        for (line, piece) in pieces(text) {
            let (Piece::Code(text) | Piece::Command(text)) = piece else { continue };
            for command in text.split(" #").next().unwrap_or_default().split(['|', ';', '&']) {
                let advice = unknown_xtask(command).or_else(|| unknown_program(command, &programs));
                findings.extend(advice.map(|advice| Finding::new(path, line, advice)));
            }
        }
    }
    findings
}

/// Lets xtask's own command line judge a `cargo xtask …`.
fn unknown_xtask(command: &str) -> Option<String> {
    let arguments = literal_words(command).collect::<Vec<_>>();
    let arguments = arguments.strip_prefix(&["cargo", "xtask"]).filter(|arguments| !arguments.is_empty())?;
    let cli = Cli::command().no_binary_name(true).disable_help_flag(false);
    let error = cli.try_get_matches_from(arguments).err()?;
    if matches!(error.kind(), clap::error::ErrorKind::DisplayHelp | clap::error::ErrorKind::DisplayVersion) {
        return None;
    }
    let reason = error.to_string();
    let reason = reason.lines().next().unwrap_or_default().trim_start_matches("error: ");
    Some(format!("`{}` is no command ({reason}): see cargo xtask --help", command.trim()))
}

/// Looks up the subcommands in `rollcall …` and `rollcall-load …`.
fn unknown_program(command: &str, programs: &[(&str, Commands)]) -> Option<String> {
    let mut words = literal_words(command).skip_while(|word| word.contains('='));
    let program = words.next()?.rsplit('/').next()?;
    let (_, Commands(commands)) =
        programs.iter().find(|(name, commands)| *name == program && !commands.0.is_empty())?;
    let subcommand = words.next().filter(|word| is_subcommand(word))?;
    let Some(inner) = commands.get(subcommand) else {
        return Some(format!("`{program} {subcommand}` is no command: see {program} --help"));
    };
    let second = words.next().filter(|word| is_subcommand(word) && !inner.is_empty())?;
    let is_known = inner.iter().any(|name| name == second);
    (!is_known).then(|| format!("`{program} {subcommand} {second}` is no command: see {program} {subcommand} --help"))
}

/// Returns the words up to the first that stands for something else: `ROOM`, `<FILE>`, `[ring…]`, `...`.
fn literal_words(command: &str) -> impl Iterator<Item = &str> {
    command.split_whitespace().take_while(|word| {
        let is_assignment = word.contains('=');
        is_assignment || (!word.contains(['[', '<', '…', '{']) && !word.contains("...") && word.to_uppercase() != *word)
    })
}

fn is_subcommand(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_lowercase())
        && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && word != "help"
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::testing::places;

    const SOURCE: &str = "#[derive(Subcommand)] enum Command { Serve, Send, Token(TokenCommand) }
        #[derive(Subcommand)] enum TokenCommand { Issue, Inspect }";

    fn places_in(text: &str) -> Vec<String> {
        places(check, &[("src/cli/mod.rs", SOURCE), ("README.md", text)])
    }

    #[test]
    fn commands_that_exist_are_kept() {
        let clean = "`cargo xtask`, `cargo xtask check`, `cargo xtask test it core`, `cargo xtask test [RING…]`,
`cargo xtask --help`, `cargo xtask test RING`, `rollcall`, `rollcall serve | rollcall send ROOM TEXT`,
`rollcall token issue`, `rollcall token`, `rollcall --help`, `rollcall help`, `rollcall-protocol`, `rollcall.toml`
```console
$ RUST_LOG=debug target/release/rollcall send lobby hi   # no more
rollcall says hello
```";
        assert_eq!(places_in(clean), [""; 0]);
    }

    #[test]
    fn commands_that_do_not_exist_are_found() {
        let broken = [
            "`cargo xtask bake`",
            "`cargo xtask test bake`",
            "`cargo xtask check --bake`",
            "`rollcall bake`",
            "`rollcall token bake`",
            "`rollcall serve; rollcall bake`",
        ];
        for text in broken {
            assert_eq!(places_in(text), ["README.md:1"], "{text}");
        }
        assert_eq!(places_in("```sh\ncargo xtask check\n./target/release/rollcall bake\n```"), ["README.md:3"]);
    }

    #[test]
    fn without_a_command_line_to_read_nothing_is_said_about_it() {
        assert_eq!(places(check, &[("README.md", "`rollcall bake`")]), [""; 0]);
    }
}
