//! The table of house rules, and what a violation is.

use std::fmt;

use super::{
    Tree, dependencies, docs_commands, docs_links, docs_paths, file_length, gateway, module_roots, portable, pure_code,
    test_sleeps, unfinished,
};

/// All rules.
pub const RULES: &[Rule] = &[
    Rule {
        name: "dependencies",
        about: "our crates depend on each other in the directions that ARCHITECTURE.md draws, and in no other",
        check: dependencies::check,
    },
    Rule {
        name: "gateway-log",
        about: "the gateway never names the log: what it reads goes through the room actors",
        check: gateway::check,
    },
    Rule { name: "file-length", about: "a file past 500 lines is two files", check: file_length::check },
    Rule {
        name: "pure-code",
        about: "pure code has no clock, no randomness, no unordered iteration, no async, no I/O, no log lines",
        check: pure_code::check,
    },
    Rule { name: "docs-paths", about: "files and symbols that the docs name exist", check: docs_paths::check },
    Rule { name: "docs-links", about: "relative links and anchors in the docs resolve", check: docs_links::check },
    Rule {
        name: "docs-commands",
        about: "commands of cargo xtask, rollcall and rollcall-load that the docs name exist",
        check: docs_commands::check,
    },
    Rule {
        name: "portable",
        about: "no file names a path of one machine or a private package registry",
        check: portable::check,
    },
    Rule {
        name: "unfinished",
        about: "nothing is ignored, left to do or marked to be mended later",
        check: unfinished::check,
    },
    Rule {
        name: "test-sleeps",
        about: "a test waits for a condition, not for time; pacing says why in `// pace: …` on its line",
        check: test_sleeps::check,
    },
    Rule {
        name: "module-roots",
        about: "lib.rs and mod.rs hold text and re-exports, no logic",
        check: module_roots::check,
    },
];

/// One house rule.
#[derive(Debug)]
pub struct Rule {
    /// A short name, printed with each violation.
    pub name: &'static str,
    /// What the rule asks for, in one sentence.
    pub about: &'static str,
    check: fn(&Tree) -> Vec<Finding>,
}

/// What a rule found at one place.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file, from the repository's root.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong and what to do about it.
    pub advice: String,
}

/// A finding together with the rule that made it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    finding: Finding,
    rule: &'static str,
}

impl Rule {
    /// Returns what breaks this rule in the tree.
    pub fn violations(&self, tree: &Tree) -> Vec<Violation> {
        (self.check)(tree).into_iter().map(|finding| Violation { finding, rule: self.name }).collect()
    }
}

impl Finding {
    /// A finding at a line, counted from 1.
    pub fn new(path: &str, line: usize, advice: impl Into<String>) -> Finding {
        Finding { path: path.to_owned(), line, advice: advice.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { path, line, advice } = &self.finding;
        write!(f, "{path}:{line}: {}: {advice}", self.rule)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Finding, RULES, Violation};

    #[test]
    fn a_violation_is_a_line_that_editors_can_jump_to() {
        let violation = Violation { finding: Finding::new("src/a.rs", 7, "split it"), rule: "file-length" };
        assert_eq!(violation.to_string(), "src/a.rs:7: file-length: split it");
    }

    #[test]
    fn no_two_rules_have_the_same_name() {
        let names: BTreeSet<&str> = RULES.iter().map(|rule| rule.name).collect();
        assert_eq!(names.len(), RULES.len());
    }
}
