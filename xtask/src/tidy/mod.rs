//! The house rules, kept by a test.
//!
//! A [`Tree`] is the repository's files as text; a rule is a function from a tree to violations, so that each rule's
//! tests are small trees in memory: one that breaks it, one that does not. [`RULES`] is the table of them all.
//!
//! ```text
//! git ls-files ─▶ Tree ─┬▶ RustSource (comments, strings and test code told apart) ─┬▶ RULES ─▶ path:line: rule: what to do
//!                       └▶ markdown (code spans, commands, links) ──────────────────┘
//! ```
//!
//! To add a rule: a file beside the others with one `check` function, and a row in [`RULES`]. Rules look at text, not at
//! types: they are allowed to miss something clever, never to complain about something right.

mod dependencies;
mod docs_commands;
mod docs_links;
mod docs_paths;
mod file_length;
mod gateway;
mod markdown;
mod module_roots;
mod portable;
mod pure_code;
mod rules;
mod runner;
mod rust_source;
mod server_commands;
mod test_sleeps;
mod tree;
mod unfinished;
mod use_paths;

#[cfg(test)]
mod testing;

pub use rules::{RULES, Violation};
pub use runner::{check_repository, print, print_rules, run};
pub use tree::Tree;
