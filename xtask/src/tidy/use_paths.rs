//! Expands `use a::{b, c::d};` into the paths that it names.

use super::rust_source::{RustSource, is_word_byte, token_positions};

/// Returns every path that a `use` names, without spaces, with the number of the line on which it ends.
pub fn use_paths(source: &RustSource) -> Vec<(usize, String)> {
    let mut paths = Vec::new();
    for start in token_positions(&source.code, "use") {
        let statement = start + "use".len();
        // `impl Trait + use<'a>` captures lifetimes.
        if source.code[statement..].starts_with('<') {
            continue;
        }
        let Some(length) = source.code[statement..].find(';') else { break };
        expand(source, statement..statement + length, &mut paths);
    }
    paths
}

fn expand(source: &RustSource, range: std::ops::Range<usize>, paths: &mut Vec<(usize, String)>) {
    let code = source.code.as_bytes();
    let mut outer: Vec<String> = Vec::new();
    let mut path = String::new();
    let mut finish = |path: &mut String, position: usize| {
        // What is renamed keeps its name before ` as `.
        let named = path.split(" as ").next().unwrap_or_default();
        let named: String = named.split_whitespace().collect();
        // A comma before a closing brace leaves nothing but the group's prefix.
        if named.bytes().any(is_word_byte) && !named.ends_with("::") {
            paths.push((source.line_at(position), named));
        }
        path.clear();
    };
    let mut text_end = range.start;
    for position in range.clone() {
        match code[position] {
            b'{' => outer.push(path.clone()),
            b',' => {
                finish(&mut path, text_end);
                path = outer.last().cloned().unwrap_or_default();
            }
            b'}' => {
                finish(&mut path, text_end);
                outer.pop();
            }
            byte => path.push(char::from(byte)),
        }
        if is_word_byte(code[position]) {
            text_end = position;
        }
    }
    finish(&mut path, text_end);
}

#[cfg(test)]
mod tests {
    use super::use_paths;
    use crate::tidy::rust_source::RustSource;

    #[test]
    fn groups_are_expanded() {
        let source = RustSource::read(
            "use std::{\n    fs,\n    net::{IpAddr, SocketAddr as Address},\n};\npub use crate::log;\nfn user() {}\nuse a::*;",
        );
        let paths = use_paths(&source);
        let paths: Vec<(usize, &str)> = paths.iter().map(|(line, path)| (*line, path.as_str())).collect();
        assert_eq!(
            paths,
            [(2, "std::fs"), (3, "std::net::IpAddr"), (3, "std::net::SocketAddr"), (5, "crate::log"), (7, "a::*"),]
        );
    }
}
