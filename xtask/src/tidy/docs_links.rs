//! Rule: relative links and anchors in the docs resolve.

use super::Tree;
use super::markdown::{Piece, anchors, pieces};
use super::rules::Finding;

/// Finds links to files and headings that are not there.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.markdown_files() {
        for (line, piece) in pieces(text) {
            let Piece::Link(target) = piece else { continue };
            if let Some(advice) = broken(tree, path, target) {
                findings.push(Finding::new(path, line, advice));
            }
        }
    }
    findings
}

/// Returns the path that a link in a document leads to, or nothing if it leads out of the repository.
pub fn resolve(document: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    if target.starts_with('/') {
        parts.clear();
    }
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            _ => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn broken(tree: &Tree, document: &str, target: &str) -> Option<String> {
    let scheme = target.split_once(':').map(|(scheme, _)| scheme);
    if scheme.is_some_and(|scheme| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if file.is_empty() { Some(document.to_owned()) } else { resolve(document, file) };
    let Some(path) = path.filter(|path| tree.exists(path) || path.is_empty()) else {
        return Some(format!("the link `{target}` leads nowhere: mend or remove it"));
    };
    let has_anchor = anchor.is_empty()
        || !path.ends_with(".md")
        || tree.file(&path).is_some_and(|file| anchors(&file.text).contains(anchor));
    (!has_anchor).then(|| format!("`{path}` has no heading `#{anchor}`: mend the link"))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::testing::places;

    #[test]
    fn links_that_lead_somewhere_are_kept() {
        let files = [
            (
                "docs/protocol.md",
                "# Close codes\n[up](../README.md) [here](#close-codes) [adr](adr/) [root](/README.md)",
            ),
            ("docs/adr/0001.md", "[p](../protocol.md#close-codes)"),
            ("README.md", "[code](src/main.rs#L3) [web](https://example.org/x) [mail](mailto:a@example.org)"),
            ("src/main.rs", ""),
        ];
        assert!(places(check, &files).is_empty());
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        let files = [
            ("docs/protocol.md", "# Codes\n[a](gone.md)\n[b](#close)\n[c](../../other/x.md)\n[d](../README.md#tour)"),
            ("README.md", ""),
        ];
        let expected = ["docs/protocol.md:2", "docs/protocol.md:3", "docs/protocol.md:4", "docs/protocol.md:5"];
        assert_eq!(places(check, &files), expected);
    }
}
