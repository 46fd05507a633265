//! Reads from its source which subcommands a program has that is built with clap.
//!
//! The programs cannot be asked: xtask depends on none of our crates, and tidy works when they do not compile.

use std::collections::BTreeMap;

use super::Tree;
use super::rust_source::{RustSource, contains_token, end_of_group, is_word_byte, token_positions};

/// The subcommands of a program: for each the subcommands that it has itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Commands(pub BTreeMap<String, Vec<String>>);

/// One `enum` with `derive(Subcommand)`.
struct CommandEnum {
    name: String,
    variants: Vec<Variant>,
}

struct Variant {
    /// As one types it.
    command: String,
    /// The code of what it holds.
    content: String,
}

impl Commands {
    /// Reads the enums with `derive(Subcommand)` in the files of a folder. Those that are a part of no other one hold the
    /// program's own subcommands.
    pub fn of_program(tree: &Tree, folder: &str) -> Commands {
        let sources = tree.files_under(folder).filter_map(|(_, file)| Some((file.rust.as_ref()?, file.text.as_str())));
        let enums: Vec<CommandEnum> = sources.flat_map(|(source, text)| command_enums(source, text)).collect();
        let inner_of = |variant: &Variant| {
            enums.iter().filter(|inner| contains_token(&variant.content, &inner.name)).collect::<Vec<_>>()
        };
        let inner_names: Vec<&str> = enums
            .iter()
            .flat_map(|outer| outer.variants.iter().flat_map(inner_of))
            .map(|inner| inner.name.as_str())
            .collect();
        let mut commands = BTreeMap::new();
        for outer in enums.iter().filter(|outer| !inner_names.contains(&outer.name.as_str())) {
            for variant in &outer.variants {
                let inner = inner_of(variant).into_iter().flat_map(|inner| &inner.variants);
                commands.insert(variant.command.clone(), inner.map(|variant| variant.command.clone()).collect());
            }
        }
        Commands(commands)
    }
}

fn command_enums(source: &RustSource, text: &str) -> Vec<CommandEnum> {
    let code = source.code.as_str();
    let mut enums = Vec::new();
    for derive in token_positions(code, "derive") {
        let derive_end = end_of_group(code.as_bytes(), derive + "derive".len());
        if !contains_token(&code[derive..derive_end], "Subcommand") {
            continue;
        }
        let Some(start) = token_positions(&code[derive_end..], "enum").next().map(|start| derive_end + start) else {
            continue;
        };
        let Some(open) = code[start..].find('{').map(|open| start + open) else { continue };
        let name = code[start + "enum".len()..open].split('<').next().unwrap_or_default().trim().to_owned();
        let body = open + 1..end_of_group(code.as_bytes(), open) - 1;
        enums.push(CommandEnum { name, variants: variants(&code[body.clone()], &text[body]) });
    }
    enums
}

/// Splits the inside of an enum at its commas. `text` is the same range of the file, with its strings.
fn variants(code: &str, text: &str) -> Vec<Variant> {
    let mut variants = Vec::new();
    let (mut start, mut index) = (0, 0);
    let bytes = code.as_bytes();
    while index <= bytes.len() {
        match bytes.get(index) {
            Some(b'(' | b'[' | b'{') => index = end_of_group(bytes, index),
            Some(b',') | None => {
                variants.extend(variant(&code[start..index], &text[start..index]));
                index += 1;
                start = index;
            }
            Some(_) => index += 1,
        }
    }
    variants
}

fn variant(code: &str, text: &str) -> Option<Variant> {
    let mut declaration = 0;
    while let Some(start) = code[declaration..].find("#[") {
        declaration = end_of_group(code.as_bytes(), declaration + start + 1);
    }
    let name: String =
        code[declaration..].trim().chars().take_while(|&character| is_word_byte(character as u8)).collect();
    if name.is_empty() {
        return None;
    }
    let renamed = text[..declaration].split_once("name = \"").and_then(|(_, rest)| rest.split_once('"'));
    let command = renamed.map_or_else(|| kebab(&name), |(command, _)| command.to_owned());
    Some(Variant { command, content: code[declaration..].to_owned() })
}

/// `ConfigCheck` becomes `config-check`, as clap does it.
fn kebab(name: &str) -> String {
    let mut kebab = String::new();
    for character in name.chars() {
        if character.is_uppercase() && !kebab.is_empty() {
            kebab.push('-');
        }
        kebab.extend(character.to_lowercase());
    }
    kebab
}

#[cfg(test)]
mod tests {
    use super::Commands;
    use crate::tidy::testing::tree;

    #[test]
    fn subcommands_are_read_from_the_source() {
        let source = r#"
            #[derive(Debug, clap::Subcommand)]
            pub enum Command {
                /// Serves, and {never} stops.
                Serve(ServeArguments),
                #[command(name = "say", alias = "x")]
                Send { room: String, text: String },
                ColdStart,
                #[command(subcommand)]
                Token(TokenCommand),
            }
            #[derive(Debug, Subcommand)] enum TokenCommand { Issue { user: String }, Inspect }
            #[derive(Debug, ValueEnum)] enum Format { Json }
        "#;
        let commands = Commands::of_program(&tree(&[("src/cli/mod.rs", source), ("other/x.rs", source)]), "src");
        let commands: Vec<(&str, Vec<&str>)> = commands
            .0
            .iter()
            .map(|(command, inner)| (command.as_str(), inner.iter().map(String::as_str).collect()))
            .collect();
        assert_eq!(
            commands,
            [("cold-start", vec![]), ("say", vec![]), ("serve", vec![]), ("token", vec!["issue", "inspect"]),]
        );
    }
}
