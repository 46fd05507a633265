//! The rings of tests, as data: a new ring, or a new step of one, is a line here.

use std::fmt::Write as _;

use crate::tools::{JAVA, MAVEN, REDIS, STRACE, Tool};

/// A ring of tests: from the pure core outward, each slower and closer to the world than the one before.
#[derive(Debug)]
pub struct Ring {
    /// What one types.
    pub name: &'static str,
    /// What it shows.
    pub about: &'static str,
    /// Tools without which a part of its tests cannot run. A test that needs one has the tool's word in its own name,
    /// and is skipped by it where the tool is missing and CI does not run us.
    pub needs: &'static [Tool],
    /// What is run, in order; a step that fails ends the ring.
    pub steps: &'static [Step],
}

/// One command of a ring.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    /// Cargo, with these arguments.
    Cargo(&'static [&'static str]),
    /// A release binary, as a step before has built it. `cargo run` of that package alone would build it anew, with
    /// features of its dependencies that no other package asks for.
    Built(&'static [&'static str]),
}

/// Builds every program that is run as a user would run it. All at once, or each would be built with other features.
pub const BUILD_RELEASE: Step =
    Step::Cargo(&["build", "--release", "--package=rollcall", "--package=rollcall-load", "--package=rollcall-live"]);

/// Faults of a short run in which masters of Redis are replaced, and owners of rooms are fenced.
const MASTERS_AND_OWNERS: &str = "redis_master_killed,redis_master_stopped,kill,pause,held_append_paused";

/// All rings, in the order in which they are run.
///
/// Tests run in the dev profile, with debug and overflow assertions on, against workspace code that is not optimised and
/// dependencies that are; what a user would run, and what is killed or traced, is the release binary. The simulation has a profile
/// of its own: optimised, and with assertions.
pub const RINGS: &[Ring] = &[
    Ring {
        name: "core",
        about: "every crate by itself: unit and property tests, contract suites, doc tests, and xtask's own",
        needs: &[],
        steps: &[Step::Cargo(&[
            "test",
            "--no-fail-fast",
            "--package=rollcall-protocol",
            "--package=rollcall-actors",
            "--package=rollcall-checker",
            "--package=rollcall",
            "--package=rollcall-client",
            "--package=rollcall-proxy",
            "--package=xtask",
        ])],
    },
    Ring {
        name: "model",
        about: "the protocol of a cluster explored in every order of events, and weaker ones caught: bounded",
        needs: &[],
        steps: &[
            Step::Cargo(&["test", "--no-fail-fast", "--package=rollcall-model"]),
            Step::Cargo(&["build", "--release", "--package=rollcall-model"]),
            Step::Built(&["rollcall-model"]),
        ],
    },
    Ring {
        name: "sim",
        about: "a cluster of the pure machines in a simulated world: 1,000 seeds of faults, and sabotages that must be noticed",
        needs: &[],
        steps: &[
            Step::Cargo(&["test", "--profile=sim", "--no-fail-fast", "--package=rollcall-sim"]),
            Step::Cargo(&["run", "--profile=sim", "--package=rollcall-sim", "--", "--seeds=1000"]),
        ],
    },
    Ring {
        name: "it",
        about: "one process with real WebSockets, and the release binary killed, traced and starved",
        needs: &[STRACE],
        steps: &[
            BUILD_RELEASE,
            Step::Cargo(&["test", "--no-fail-fast", "--package=rollcall-it", "--package=rollcall-load"]),
        ],
    },
    Ring {
        name: "services",
        about: "real Redis and Cassandra as the tests use them: started, killed, stopped, started again, gone at the end",
        needs: &[REDIS, JAVA, MAVEN],
        steps: &[Step::Cargo(&["test", "--no-fail-fast", "--package=rollcall-services"])],
    },
    Ring {
        name: "redis",
        about: "how nodes use Redis: alone, under Sentinel and as a cluster, killed, emptied, stopped and failed over",
        needs: &[REDIS],
        steps: &[Step::Cargo(&["test", "--no-fail-fast", "--package=rollcall-redis-tests"])],
    },
    Ring {
        name: "cql",
        about: "the CQL log on a real Cassandra, and behind proxies that lose, delay and rewrite its answers",
        needs: &[REDIS, JAVA, MAVEN],
        steps: &[
            Step::Cargo(&["build", "--package=rollcall"]),
            Step::Cargo(&["test", "--no-fail-fast", "--package=rollcall-cql-tests"]),
        ],
    },
    Ring {
        name: "live",
        about: "a real cluster killed, stopped, cut off, held up and rewound by seed, on every kind of Redis, judged by the checker",
        needs: &[REDIS, JAVA, MAVEN],
        steps: &[
            Step::Cargo(&["test", "--no-fail-fast", "--package=rollcall-live"]),
            BUILD_RELEASE,
            Step::Built(&["rollcall-live", "--faults", "25"]),
            Step::Built(&["rollcall-live", "--redis", "sentinel", "--faults", "5", "--only", MASTERS_AND_OWNERS]),
            Step::Built(&["rollcall-live", "--redis", "cluster", "--faults", "5", "--only", MASTERS_AND_OWNERS]),
        ],
    },
    Ring {
        name: "torture",
        about: "the release server killed with -9 under load, everything that clients did and saw judged by the checker",
        needs: &[],
        steps: &[BUILD_RELEASE, Step::Built(&["rollcall-load", "torture", "--spawn", "--kills", "10"])],
    },
];

/// Returns the rings' names.
pub fn names() -> Vec<&'static str> {
    RINGS.iter().map(|ring| ring.name).collect()
}

/// Returns the text on the rings for `cargo xtask test --help`.
pub fn help() -> String {
    let mut text = String::from("Rings:\n");
    for ring in RINGS {
        let _ = writeln!(text, "  {:<8} {}", ring.name, ring.about);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::{env, fs};

    use super::{RINGS, Step};

    /// A crate that no ring names would have tests that nobody runs.
    #[test]
    fn every_crate_of_the_workspace_is_tested_in_exactly_one_ring() {
        let root = format!("{}/..", env::var("CARGO_MANIFEST_DIR").unwrap());
        let manifest = |folder: &str| -> toml::Table {
            fs::read_to_string(format!("{root}/{folder}/Cargo.toml")).unwrap().parse().unwrap()
        };
        let members = manifest(".")["workspace"]["members"].clone();
        let members = members.as_array().unwrap().iter().map(|member| member.as_str().unwrap());
        let crates: BTreeSet<String> = members
            .chain(["."])
            .map(|folder| manifest(folder)["package"]["name"].as_str().unwrap().to_owned())
            .collect();

        let test_steps = RINGS.iter().flat_map(|ring| ring.steps).filter_map(|step| match step {
            Step::Cargo(arguments) if arguments[0] == "test" => Some(*arguments),
            Step::Cargo(_) | Step::Built(_) => None,
        });
        let tested: Vec<&str> =
            test_steps.flatten().filter_map(|argument| argument.strip_prefix("--package=")).collect();
        let distinct: BTreeSet<String> = tested.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(distinct, crates);
        assert_eq!(tested.len(), distinct.len(), "a crate is tested twice");
    }
}
