//! Rule: nothing is ignored, left to do or marked to be mended later.

use super::Tree;
use super::rules::Finding;
use super::rust_source::contains_token;

/// Marks of unfinished work in any text.
const MARKS: &[&str] = &["FIXME", "XXX", "TODO"];

/// Macros that stand for code that is not there.
const MACROS: &[&str] = &["todo!", "unimplemented!"];

/// Files in which the marks may stand in text: scripts and sources of other languages have no lexer here.
const TEXT_ENDINGS: &[&str] = &[".js", ".mjs", ".ts", ".toml", ".md", ".cql", ".sh", ".yml", ".yaml", ".html", ".css"];

/// Finds tests that are ignored, code that is missing, and notes to mend something later.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, source) in tree.rust_files() {
        for ((line, code), comment) in source.code_lines().zip(source.comments.lines()) {
            if is_ignored(code) {
                let advice = "an ignored test is run by nobody: put a slow one in a binary and a ring of its own";
                findings.push(Finding::new(path, line, advice));
            }
            for name in MACROS.iter().filter(|name| contains_token(code, name)) {
                findings.push(Finding::new(path, line, format!("`{name}`: write it, or leave out what needs it")));
            }
            for mark in MARKS.iter().filter(|mark| contains_token(code, mark) || contains_token(comment, mark)) {
                findings.push(Finding::new(path, line, unfinished(mark)));
            }
        }
    }
    let texts = tree.files().filter(|(path, _)| TEXT_ENDINGS.iter().any(|ending| path.ends_with(ending)));
    for (path, file) in texts {
        for (index, text) in file.text.lines().enumerate() {
            for mark in MARKS.iter().filter(|mark| contains_token(text, mark)) {
                findings.push(Finding::new(path, index + 1, unfinished(mark)));
            }
        }
    }
    findings
}

fn is_ignored(code: &str) -> bool {
    let compact: String = code.chars().filter(|character| !character.is_whitespace()).collect();
    compact.contains("#[ignore]")
        || compact.contains("#[ignore=")
        || (compact.contains("cfg_attr(") && contains_token(&compact, "ignore"))
}

fn unfinished(mark: &str) -> String {
    format!("{mark}: finish it, or say what is missing in an issue")
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::testing::places;

    #[test]
    fn finished_work_is_kept() {
        let clean = "// A todo list is a fine example of a room; mktemp XXXXXX.\nfn ignore() { let text = \"FIXME\"; }\n\
                     fn todo() { ignore() }";
        assert_eq!(places(check, &[("src/a.rs", clean), ("docs/a.md", "Ignore what is to do.")]), [""; 0]);
    }

    #[test]
    fn unfinished_work_is_found() {
        let code = "#[test]\n#[ignore]\nfn a() { todo!() }\nfn b() { unimplemented!(\"later\") } // XXX: c\n\
                    #[cfg_attr(not(unix), ignore)]\n#[ignore = \"slow\"]";
        let expected = ["src/a.rs:2", "src/a.rs:3", "src/a.rs:4", "src/a.rs:4", "src/a.rs:5", "src/a.rs:6"];
        assert_eq!(places(check, &[("src/a.rs", code)]), expected);
        let marked = format!("one\n{}: later", super::MARKS[0]);
        assert_eq!(places(check, &[("docs/a.md", &marked)]), ["docs/a.md:2"]);
    }
}
