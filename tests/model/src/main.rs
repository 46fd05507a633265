//! `rollcall-model`: explores the shipped protocol, and shows that weaker ones fail.

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use rollcall_model::{Cluster, Exploration, Limits, Weakening, explore, find_shortest};

/// Explores two nodes that share a room, in every order of events.
#[derive(Debug, Parser)]
struct Arguments {
    /// How much may happen.
    #[arg(long, value_enum, default_value_t = Size::Bounded)]
    size: Size,
    /// Threads that explore.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Leave the weakened protocols out.
    #[arg(long)]
    shipped_only: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Size {
    /// Some hundred thousand states.
    Bounded,
    /// Millions of states.
    Full,
}

impl Size {
    fn limits(self) -> Limits {
        match self {
            Self::Bounded => Limits::bounded(),
            Self::Full => Limits::full(),
        }
    }

    /// An exploration of fewer states than this has lost something of what it should explore.
    fn states_min(self) -> usize {
        match self {
            Self::Bounded => 300_000,
            Self::Full => 5_000_000,
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut is_good = show_shipped(&arguments);
    if !arguments.shipped_only {
        for weakening in Weakening::ALL {
            is_good &= show_weakened(weakening, &arguments);
        }
    }
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn show_shipped(arguments: &Arguments) -> bool {
    let exploration = explore(&Cluster { limits: arguments.size.limits(), weakening: None }, arguments.threads);
    print!("the shipped protocol: {exploration}");
    let Exploration { states, broken, missed, .. } = exploration;
    let enough = states >= arguments.size.states_min();
    if !enough {
        println!("  that is fewer than {} states", arguments.size.states_min());
    }
    broken.is_empty() && missed.is_empty() && enough
}

fn show_weakened(weakening: Weakening, arguments: &Arguments) -> bool {
    let cluster = Cluster { limits: Limits::of_weakening(weakening), weakening: Some(weakening) };
    if weakening.is_harmless() {
        let exploration = explore(&cluster, arguments.threads);
        let is_harmless = exploration.broken.is_empty();
        print!("{weakening:?}: {}: {exploration}", if is_harmless { "does no harm" } else { "DOES HARM" });
        return is_harmless;
    }
    let exploration = find_shortest(&cluster);
    let is_caught = !exploration.broken.is_empty();
    print!("{weakening:?}: {}: {exploration}", if is_caught { "caught" } else { "NOT CAUGHT" });
    is_caught
}
