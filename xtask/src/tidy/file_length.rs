//! Rule: a file past 500 lines is two files.

use super::Tree;
use super::rules::Finding;

/// About 300 lines is what we aim at; this is where the aim is missed.
const LINES_MAX: usize = 500;

const ENDINGS: &[&str] = &[".rs", ".js", ".mjs", ".ts"];

/// Finds source files that are too long.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let sources = tree.files().filter(|(path, _)| ENDINGS.iter().any(|ending| path.ends_with(ending)));
    sources
        .filter_map(|(path, file)| {
            let lines = file.text.lines().count();
            let advice = || format!("{lines} lines, {LINES_MAX} are the limit: split it into files of about 300");
            (lines > LINES_MAX).then(|| Finding::new(path, LINES_MAX + 1, advice()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::testing::places;

    #[test]
    fn five_hundred_lines_are_the_limit() {
        let lines = |count: usize| "//\n".repeat(count);
        assert_eq!(places(check, &[("src/a.rs", &lines(500)), ("docs/a.md", &lines(501))]), [""; 0]);
        assert_eq!(
            places(check, &[("src/a.rs", &lines(501)), ("web/a.js", &lines(501))]),
            ["src/a.rs:501", "web/a.js:501"]
        );
    }
}
