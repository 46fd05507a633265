//! Rule: lib.rs and mod.rs hold text and re-exports, no logic.

use super::Tree;
use super::rules::Finding;
use super::rust_source::{RustSource, end_of_group, is_word_byte, token_positions};

/// Finds functions with bodies in lib.rs and mod.rs files, other than tests.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let is_root = |path: &str| matches!(path.rsplit('/').next(), Some("lib.rs" | "mod.rs"));
    let mut findings = Vec::new();
    for (path, source) in tree.rust_files().filter(|(path, _)| is_root(path) && !tree.is_test_file(path)) {
        for line in functions_with_bodies(source).into_iter().filter(|&line| !source.is_test_line(line)) {
            let advice =
                "a function in a module's root: move it to a file that is named after what it does, and re-export it";
            findings.push(Finding::new(path, line, advice));
        }
    }
    findings
}

/// Returns the lines on which functions with bodies start.
fn functions_with_bodies(source: &RustSource) -> Vec<usize> {
    let code = source.code.as_bytes();
    let starts = token_positions(&source.code, "fn").filter(|start| {
        // A type `fn(u8)` has no name.
        let name = code[start + "fn".len()..].iter().find(|byte| !byte.is_ascii_whitespace());
        name.is_some_and(|&byte| is_word_byte(byte)) && has_body(code, *start)
    });
    starts.map(|start| source.line_at(start)).collect()
}

fn has_body(code: &[u8], start: usize) -> bool {
    let mut index = start;
    while index < code.len() {
        match code[index] {
            b'{' => return true,
            b';' => return false,
            b'(' | b'[' => index = end_of_group(code, index),
            _ => index += 1,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::testing::places;

    #[test]
    fn text_types_and_tests_are_kept() {
        let root = "//! fn in_text() {}\nmod a;\npub use a::A;\npub trait T { fn declared(&self, f: fn(u8) -> [u8; 2]); }\n\
                    #[cfg(test)]\nmod tests { fn case() {} }";
        assert_eq!(
            places(
                check,
                &[("src/lib.rs", root), ("src/main.rs", "fn main() {}"), ("tests/a/mod.rs", "fn shared() {}")]
            ),
            [""; 0]
        );
    }

    #[test]
    fn functions_with_bodies_are_found() {
        let root = "mod a;\npub async fn logic(x: [u8; 2])\n-> u8 { 0 }\nimpl A { fn method(&self) {} }";
        assert_eq!(places(check, &[("src/x/mod.rs", root)]), ["src/x/mod.rs:2", "src/x/mod.rs:4"]);
    }
}
