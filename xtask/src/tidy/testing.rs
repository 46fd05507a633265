//! What the rules' tests share: trees in memory, and findings as `path:line`.

use super::Tree;
use super::rules::Finding;

/// Makes a tree of paths and texts.
pub fn tree(files: &[(&str, &str)]) -> Tree {
    Tree::of_files(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())))
}

/// Runs a rule on a tree and returns the places that it found, as `path:line`.
pub fn places(check: fn(&Tree) -> Vec<Finding>, files: &[(&str, &str)]) -> Vec<String> {
    let mut findings = check(&tree(files));
    findings.sort();
    findings.iter().map(|finding| format!("{}:{}", finding.path, finding.line)).collect()
}
