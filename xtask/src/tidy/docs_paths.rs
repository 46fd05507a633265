//! Rule: files and symbols that the docs name in backticks exist.

use std::collections::BTreeSet;

use super::Tree;
use super::docs_links::resolve;
use super::markdown::{Piece, pieces};
use super::rules::Finding;
use super::rust_source::contains_token;

/// A span that ends so is meant as a file's name.
const FILE_ENDINGS: &[&str] = &[".rs", ".toml", ".md", ".cql"];

/// Files that the docs name and that lie on a user's machine.
const USERS_FILES: &[&str] = &["rollcall.toml"];

/// Finds names of files and symbols in the docs that are not there.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let folders: BTreeSet<&str> = tree.files().filter_map(|(path, _)| Some(path.split_once('/')?.0)).collect();
    let mut findings = Vec::new();
    for (document, text) in tree.markdown_files() {
        for (line, piece) in pieces(text) {
            let Piece::Code(span) = piece else { continue };
            let Some(name) = Name::read(span, &folders) else { continue };
            if let Some(advice) = name.missing(tree, document) {
                findings.push(Finding::new(document, line, advice));
            }
        }
    }
    findings
}

/// A file, and perhaps a symbol or a line in it, that a document names: `path`, `path:Symbol`, `path::symbol`, `path:12`.
struct Name<'a> {
    path: &'a str,
    place: Option<&'a str>,
}

impl<'a> Name<'a> {
    /// Reads a code span, if it looks like a path of this repository.
    fn read(span: &'a str, folders: &BTreeSet<&str>) -> Option<Name<'a>> {
        let foreign = ['/', '~', '$', '-', '@'];
        if span.contains(|character: char| character.is_whitespace() || "<>=\"'|".contains(character))
            || span.starts_with(foreign)
            || span.contains("://")
        {
            return None;
        }
        let span = span.split('#').next().unwrap_or_default();
        let (path, place) = match span.split_once(':') {
            Some((path, place)) => (path, Some(place.trim_start_matches(':')).filter(|place| !place.is_empty())),
            None => (span, None),
        };
        let first = path.split_once('/').map(|(first, _)| first);
        let is_path = first.is_some_and(|first| folders.contains(first))
            || FILE_ENDINGS.iter().any(|ending| path.ends_with(ending) && path.len() > ending.len());
        (is_path && !USERS_FILES.contains(&path)).then_some(Name { path, place })
    }

    /// Says what is not there, if something is not.
    fn missing(&self, tree: &Tree, document: &str) -> Option<String> {
        let Name { path, place } = self;
        let files = files_named(tree, document, path);
        if files.is_empty() && !tree.exists(path) {
            return Some(format!("`{path}` does not exist: name what is there now, or nothing"));
        }
        let place = (*place)?;
        let is_there = |text: &str| match place.parse::<usize>() {
            Ok(line) => (1..=text.lines().count()).contains(&line),
            Err(_) => contains_token(text, symbol(place)),
        };
        let found = files.iter().any(|file| tree.file(file).is_some_and(|file| is_there(&file.text)));
        (!found).then(|| format!("`{path}` has no `{place}`: name what is there now, or nothing"))
    }
}

/// The last part of a symbol's path, without arguments.
fn symbol(place: &str) -> &str {
    let name = place.split(['(', '{']).next().unwrap_or_default();
    name.rsplit("::").find(|part| !part.is_empty()).unwrap_or(place)
}

/// Returns the files that a path means: from the root, beside the document, or as the end of a longer path; all files of
/// a folder; all that match a pattern.
fn files_named<'a>(tree: &'a Tree, document: &str, path: &str) -> Vec<&'a str> {
    let beside = resolve(document, path).unwrap_or_default();
    let mut files: Vec<&str> = Vec::new();
    for pattern in braces(path) {
        let pattern = pattern.trim_start_matches("./").trim_end_matches('/').replace('…', "**");
        let ending = format!("**/{pattern}");
        let below = format!("{pattern}/**");
        let is_meant = |file: &str| {
            [pattern.as_str(), &ending, &below].iter().any(|pattern| matches(pattern.as_bytes(), file.as_bytes()))
                || file == beside
        };
        let found: Vec<&str> = tree.files().map(|(file, _)| file).filter(|file| is_meant(file)).collect();
        if found.is_empty() {
            return found;
        }
        files.extend(found);
    }
    files
}

/// Expands `{a,b}` as a shell does, one level deep.
fn braces(path: &str) -> Vec<String> {
    let parts = path.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)));
    match parts {
        Some((before, (choices, after))) => {
            choices.split(',').flat_map(|choice| braces(&format!("{before}{}{after}", choice.trim()))).collect()
        }
        None => vec![path.to_owned()],
    }
}

/// Matches a path with a pattern in which `*` is anything within a folder and `**` anything at all.
fn matches(pattern: &[u8], path: &[u8]) -> bool {
    if let Some(rest) = pattern.strip_prefix(b"**") {
        let rest_without_slash = rest.strip_prefix(b"/").unwrap_or(rest);
        return matches(rest_without_slash, path) || (0..=path.len()).any(|skipped| matches(rest, &path[skipped..]));
    }
    if let Some(rest) = pattern.strip_prefix(b"*") {
        let within = path.iter().position(|&byte| byte == b'/').unwrap_or(path.len());
        return (0..=within).any(|skipped| matches(rest, &path[skipped..]));
    }
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((expected, pattern)), Some((byte, path))) => expected == byte && matches(pattern, path),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{check, matches};
    use crate::tidy::testing::places;

    const CODE: &[(&str, &str)] = &[
        ("Cargo.toml", ""),
        ("actors/src/room/core.rs", "pub struct Room;\nimpl Room { fn handle(&mut self) {} }"),
        ("actors/src/room/state.rs", ""),
        ("protocol/vectors/hello.json", ""),
        ("tests/it/tests/resume.rs", "fn resumes_by_cursor() {}"),
    ];

    fn places_in(text: &str) -> Vec<String> {
        let mut files = CODE.to_vec();
        files.push(("docs/map.md", text));
        places(check, &files)
    }

    #[test]
    fn names_of_what_is_there_are_kept() {
        let clean = [
            "`actors/src/room/core.rs`, `room/core.rs`, `core.rs`, `actors/src/`, `map.md`, `../Cargo.toml`",
            "`actors/src/room/core.rs:Room`, `actors/src/room/core.rs::Room::handle()`, `core.rs:2`",
            "`actors/src/room/*.rs`, `actors/**/core.rs`, `actors/src/room/{core,state}.rs`, `protocol/vectors/*.json`",
            "`tests/it/tests/resume.rs::resumes_by_cursor`, `actors/…`",
            "`rollcall.toml`, `text/plain`, `/v1/rooms`, `a / b`, `https://example.org/x.md`, `~/x.toml`, `.rs`",
            "```\nactors/src/gone.rs\n```",
        ];
        for text in clean {
            assert_eq!(places_in(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn names_of_what_is_not_there_are_found() {
        let broken = [
            "`actors/src/room/gone.rs`",
            "`gone.rs`",
            "`actors/gone/`",
            "`core.rs:Gone`",
            "`core.rs::hand`",
            "`core.rs:3`",
            "`actors/src/room/{core,gone}.rs`",
            "`protocol/*.json`",
            "`../../elsewhere/design.md`",
            "`tests/it/tests/resume.rs::resumes`",
        ];
        for text in broken {
            assert_eq!(places_in(text), ["docs/map.md:1"], "{text}");
        }
    }

    #[test]
    fn a_star_stays_in_its_folder() {
        assert!(matches(b"a/*.rs", b"a/b.rs") && !matches(b"a/*.rs", b"a/b/c.rs"));
        assert!(matches(b"a/**", b"a/b/c.rs") && matches(b"**/c.rs", b"c.rs") && matches(b"a/**/c.rs", b"a/c.rs"));
        assert!(!matches(b"**/c.rs", b"a/bc.rs"));
    }
}
