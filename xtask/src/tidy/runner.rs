//! Runs the rules over the repository and prints what they find.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use super::{RULES, Tree, Violation};

/// Checks every rule and prints what it finds.
///
/// # Errors
///
/// If the repository's files cannot be listed.
pub fn run(root: &Path) -> Result<ExitCode> {
    let violations = check_repository(root)?;
    print(&violations);
    Ok(if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Checks every rule on the repository's files; the violations come sorted by place.
///
/// # Errors
///
/// If the repository's files cannot be listed.
pub fn check_repository(root: &Path) -> Result<Vec<Violation>> {
    let tree = Tree::of_repository(root)?;
    let mut violations: Vec<Violation> = RULES.iter().flat_map(|rule| rule.violations(&tree)).collect();
    violations.sort();
    violations.dedup();
    Ok(violations)
}

/// Prints violations for people and editors, one a line, and how many there are.
pub fn print(violations: &[Violation]) {
    for violation in violations {
        println!("{violation}");
    }
    match violations.len() {
        0 => println!("tidy: all {} house rules are kept", RULES.len()),
        1 => println!("tidy: 1 violation"),
        many => println!("tidy: {many} violations"),
    }
}

/// Prints the table of rules.
pub fn print_rules() {
    for rule in RULES {
        println!("{:<16} {}", rule.name, rule.about);
    }
}
