//! The repository's files as text, on disk or made up for a test.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::rust_source::RustSource;

/// Files by their path from the repository's root, with `/` between folders.
#[derive(Debug, Default)]
pub struct Tree {
    files: BTreeMap<String, File>,
    /// Out-of-line modules that are declared under `#[cfg(test)]`.
    test_modules: BTreeSet<String>,
}

/// One file.
#[derive(Debug)]
pub struct File {
    /// The text; empty if the file is no UTF-8 text.
    pub text: String,
    /// The text read as Rust, if the file's name ends so.
    pub rust: Option<RustSource>,
}

impl Tree {
    /// Reads what git tracks, and what is new and not ignored.
    ///
    /// # Errors
    ///
    /// If git cannot list the files, or one cannot be read.
    pub fn of_repository(root: &Path) -> Result<Tree> {
        let output = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root)
            .output()
            .context("failed to run git ls-files")?;
        ensure!(output.status.success(), "git ls-files failed: {}", String::from_utf8_lossy(&output.stderr));
        let paths = String::from_utf8(output.stdout).context("failed to read a file name that is not UTF-8")?;
        let mut files = Vec::new();
        for path in paths.split('\0').filter(|path| !path.is_empty()) {
            // A tracked file that was just removed, or a link to a folder.
            if !root.join(path).is_file() {
                continue;
            }
            let bytes = fs::read(root.join(path)).with_context(|| format!("failed to read {path}"))?;
            files.push((path.to_owned(), String::from_utf8(bytes).unwrap_or_default()));
        }
        Ok(Tree::of_files(files))
    }

    /// Makes a tree of paths and texts.
    pub fn of_files(files: impl IntoIterator<Item = (String, String)>) -> Tree {
        let mut tree = Tree::default();
        for (path, text) in files {
            let rust = path.ends_with(".rs").then(|| RustSource::read(&text));
            for module in rust.iter().flat_map(|source| &source.test_modules) {
                let folder = module_folder(&path);
                tree.test_modules.insert(format!("{folder}/{module}.rs"));
                tree.test_modules.insert(format!("{folder}/{module}/mod.rs"));
            }
            tree.files.insert(path, File { text, rust });
        }
        tree
    }

    /// Returns the file at this path.
    pub fn file(&self, path: &str) -> Option<&File> {
        self.files.get(path)
    }

    /// Returns all files in the order of their paths.
    pub fn files(&self) -> impl Iterator<Item = (&str, &File)> {
        self.files.iter().map(|(path, file)| (path.as_str(), file))
    }

    /// Returns all Rust files in the order of their paths.
    pub fn rust_files(&self) -> impl Iterator<Item = (&str, &RustSource)> {
        self.files().filter_map(|(path, file)| Some((path, file.rust.as_ref()?)))
    }

    /// Returns all Markdown files in the order of their paths.
    pub fn markdown_files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter(|(path, _)| path.ends_with(".md")).map(|(path, file)| (path, file.text.as_str()))
    }

    /// Tells whether this path is a file or, with or without a `/` at its end, a folder.
    pub fn exists(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        self.files.contains_key(path) || self.files_under(path).next().is_some()
    }

    /// Returns the files in this folder and the folders below it.
    pub fn files_under(&self, folder: &str) -> impl Iterator<Item = (&str, &File)> {
        let prefix = format!("{}/", folder.trim_end_matches('/'));
        let range = self.files.range(prefix.clone()..);
        range.take_while(move |(path, _)| path.starts_with(&prefix)).map(|(path, file)| (path.as_str(), file))
    }

    /// Tells whether a Rust file is test code from its first line to its last: it lies in a folder `tests`, is named
    /// `tests.rs`, or is declared as a module under `#[cfg(test)]`.
    pub fn is_test_file(&self, path: &str) -> bool {
        path.split('/').any(|part| matches!(part, "tests" | "tests.rs"))
            || self.is_test_module(path)
            || self.file(path).and_then(|file| file.rust.as_ref()).is_some_and(|source| source.is_all_test)
    }

    /// Tells whether this file, or a module that holds it, is declared under `#[cfg(test)]`.
    fn is_test_module(&self, path: &str) -> bool {
        let folders = path.match_indices('/').map(|(end, _)| &path[..end]);
        self.test_modules.contains(path)
            || folders.into_iter().any(|folder| {
                self.test_modules.contains(&format!("{folder}.rs"))
                    || self.test_modules.contains(&format!("{folder}/mod.rs"))
            })
    }
}

/// The folder in which the modules that a file declares lie.
fn module_folder(path: &str) -> &str {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    if matches!(name, "lib.rs" | "main.rs" | "mod.rs") { folder } else { path.trim_end_matches(".rs") }
}

#[cfg(test)]
mod tests {
    use crate::tidy::testing::tree;

    #[test]
    fn folders_exist_by_what_they_hold() {
        let tree = tree(&[("src/log/memory.rs", "")]);
        assert!(tree.exists("src/log/memory.rs") && tree.exists("src/log") && tree.exists("src/log/"));
        assert!(!tree.exists("src/lo") && !tree.exists("src/log/memory"));
    }

    #[test]
    fn test_files_are_known_by_place_name_or_declaration() {
        let tree = tree(&[
            ("src/room/mod.rs", "#[cfg(test)]\nmod oracle;\nmod state;"),
            ("src/room/oracle.rs", "mod naive;"),
            ("src/room/oracle/naive.rs", ""),
            ("src/room/state.rs", ""),
            ("src/room/tests.rs", ""),
            ("tests/it/tests/resume.rs", ""),
            ("src/whole.rs", "#![cfg(test)]"),
        ]);
        let test_files: Vec<&str> =
            tree.rust_files().map(|(path, _)| path).filter(|path| tree.is_test_file(path)).collect();
        assert_eq!(
            test_files,
            [
                "src/room/oracle.rs",
                "src/room/oracle/naive.rs",
                "src/room/tests.rs",
                "src/whole.rs",
                "tests/it/tests/resume.rs",
            ]
        );
    }
}
