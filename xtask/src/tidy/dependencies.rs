//! Rule: our crates depend on each other in the drawn directions, and in no other.
//!
//! ```text
//! clients/rust ─▶ protocol ◀─ actors ◀─ src        benches/load ─▶ clients/rust, tests/checker        tests/it ─▶ anything
//! ```

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::Tree;
use super::rules::Finding;

/// What a crate may depend on among ours.
struct Allowed {
    package: &'static str,
    /// In what ships.
    normal: &'static [&'static str],
    /// In its tests, beside the above.
    tests: &'static [&'static str],
}

const PROTOCOL: &str = "rollcall-protocol";
const ACTORS: &str = "rollcall-actors";
const CLIENT: &str = "rollcall-client";
const CHECKER: &str = "rollcall-checker";
const LOAD: &str = "rollcall-load";
const SERVER: &str = "rollcall";
const SERVICES: &str = "rollcall-services";
const IT: &str = "rollcall-it";
const PROXY: &str = "rollcall-proxy";

/// The drawing as a table. A new edge needs more thought than any code inside a crate, and a line in ARCHITECTURE.md.
const ALLOWED: &[Allowed] = &[
    Allowed { package: PROTOCOL, normal: &[], tests: &[] },
    Allowed { package: ACTORS, normal: &[PROTOCOL], tests: &[CHECKER] },
    Allowed { package: CLIENT, normal: &[PROTOCOL], tests: &[CHECKER, SERVER] },
    // Its command line is a client too.
    Allowed { package: SERVER, normal: &[PROTOCOL, ACTORS, CLIENT], tests: &[CHECKER] },
    Allowed { package: LOAD, normal: &[PROTOCOL, CLIENT, CHECKER, SERVICES], tests: &[] },
    // The judge shares no code with the accused; its tests may compare the two.
    Allowed { package: CHECKER, normal: &[], tests: &[PROTOCOL] },
    // It runs other people's servers, and knows nothing of ours.
    Allowed { package: SERVICES, normal: &[], tests: &[] },
    Allowed { package: "rollcall-redis-tests", normal: &[PROTOCOL, ACTORS, SERVER, SERVICES, PROXY], tests: &[] },
    Allowed {
        package: "rollcall-cql-tests",
        normal: &[PROTOCOL, ACTORS, CLIENT, SERVER, SERVICES, IT, PROXY],
        tests: &[],
    },
    Allowed { package: IT, normal: &[PROTOCOL, ACTORS, CLIENT, CHECKER, LOAD, SERVER, SERVICES, PROXY], tests: &[] },
    // It breaks connections, and knows neither end.
    Allowed { package: PROXY, normal: &[], tests: &[] },
    // It starts our program, and sees of it what a client and an operator see.
    Allowed { package: "rollcall-live", normal: &[PROTOCOL, CLIENT, CHECKER, LOAD, PROXY, SERVICES], tests: &[] },
    Allowed { package: "rollcall-model", normal: &[PROTOCOL, ACTORS], tests: &[] },
    Allowed { package: "rollcall-sim", normal: &[PROTOCOL, ACTORS, CLIENT, CHECKER], tests: &[] },
    Allowed { package: "xtask", normal: &[SERVICES], tests: &[] },
];

/// Finds dependencies between our crates that the table does not allow, and crates that it does not know.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let manifests: BTreeMap<&str, Table> = tree
        .files()
        .filter(|(path, _)| *path == "Cargo.toml" || path.ends_with("/Cargo.toml"))
        .filter_map(|(path, file)| Some((path, file.text.parse().ok()?)))
        .collect();
    let ours: Vec<&str> = manifests.values().filter_map(package_name).collect();
    let workspace = manifests.get("Cargo.toml").and_then(|root| root.get("workspace")?.get("dependencies")?.as_table());
    let mut findings = Vec::new();
    for (path, manifest) in &manifests {
        let Some(package) = package_name(manifest) else { continue };
        let text = tree.file(path).map_or("", |file| &file.text);
        let Some(allowed) = ALLOWED.iter().find(|allowed| allowed.package == package) else {
            let advice =
                format!("{package} is in no drawing: add it to ARCHITECTURE.md and to tidy's table of dependencies");
            findings.push(Finding::new(path, line_of(text, "name"), advice));
            continue;
        };
        for dependency in
            dependencies(manifest, workspace).iter().filter(|dependency| ours.contains(&dependency.package.as_str()))
        {
            let name = dependency.package.as_str();
            let is_allowed =
                allowed.normal.contains(&name) || (dependency.is_for_tests && allowed.tests.contains(&name));
            if !is_allowed && name != package {
                let advice = format!(
                    "{package} must not depend on {name}: turn the edge around, or move what both need below both"
                );
                findings.push(Finding::new(path, line_of(text, &dependency.key), advice));
            }
        }
    }
    findings
}

struct Dependency {
    /// The name in the manifest.
    key: String,
    /// The name of the package, which may be another.
    package: String,
    is_for_tests: bool,
}

fn package_name(manifest: &Table) -> Option<&str> {
    manifest.get("package")?.get("name")?.as_str()
}

/// Returns the dependencies of a manifest in all its tables, those for single targets included.
fn dependencies(manifest: &Table, workspace: Option<&Table>) -> Vec<Dependency> {
    let for_targets = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let holders = std::iter::once(manifest).chain(for_targets.filter_map(Value::as_table));
    let mut found = Vec::new();
    for holder in holders {
        for (table, is_for_tests) in
            [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)]
        {
            for (key, value) in holder.get(table).and_then(Value::as_table).into_iter().flatten() {
                let inherited =
                    workspace.filter(|_| value.get("workspace").is_some()).and_then(|workspace| workspace.get(key));
                let renamed = inherited.unwrap_or(value).get("package").and_then(Value::as_str);
                found.push(Dependency { key: key.clone(), package: renamed.unwrap_or(key).to_owned(), is_for_tests });
            }
        }
    }
    found
}

/// The line of a key in a manifest; 1 if it is written in some other way.
fn line_of(text: &str, key: &str) -> usize {
    let starts = |line: &str| line.trim_start().strip_prefix(key).is_some_and(|rest| rest.starts_with([' ', '.', '=']));
    text.lines().position(starts).map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::testing::places;

    fn manifest(name: &str, dependencies: &str) -> String {
        format!("[package]\nname = \"{name}\"\n{dependencies}")
    }

    fn places_with(server: &str, client: &str) -> Vec<String> {
        let root = manifest(
            "rollcall",
            &format!("[workspace.dependencies]\nshort = {{ package = \"rollcall-actors\" }}\n{server}"),
        );
        places(
            check,
            &[
                ("Cargo.toml", &root),
                ("protocol/Cargo.toml", &manifest("rollcall-protocol", "[dependencies]\nserde = \"1\"")),
                (
                    "actors/Cargo.toml",
                    &manifest("rollcall-actors", "[dependencies]\nrollcall-protocol.workspace = true"),
                ),
                ("clients/rust/Cargo.toml", &manifest("rollcall-client", client)),
            ],
        )
    }

    #[test]
    fn drawn_directions_are_kept() {
        let server = "[dependencies]\nrollcall-actors = { path = \"actors\" }\nshort.workspace = true\n\
                      [dev-dependencies]\nrollcall-client.workspace = true";
        let client = "[dependencies]\nrollcall-protocol.workspace = true\nrand = \"0.10\"";
        assert_eq!(places_with(server, client), [""; 0]);
    }

    #[test]
    fn other_directions_are_found() {
        let places_of_client = |client: &str| places_with("", client);
        let line = ["clients/rust/Cargo.toml:4"];
        assert_eq!(places_of_client("[dependencies]\nrollcall-actors.workspace = true"), line);
        assert_eq!(places_of_client("[dependencies]\nshort.workspace = true"), line);
        assert_eq!(
            places_of_client("[dependencies]\nx = { package = \"rollcall-actors\", path = \"../../actors\" }"),
            line
        );
        assert_eq!(places_of_client("[dev-dependencies]\nrollcall-actors.workspace = true"), line);
        assert_eq!(places_of_client("[target.'cfg(unix)'.build-dependencies]\nrollcall-actors.workspace = true"), line);
    }

    #[test]
    fn a_crate_that_nobody_drew_is_found() {
        assert_eq!(places(check, &[("extra/Cargo.toml", &manifest("rollcall-extra", ""))]), ["extra/Cargo.toml:2"]);
    }
}
