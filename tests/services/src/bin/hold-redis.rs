//! Starts a Redis in a folder, prints its process as JSON, and holds it until killed: what the test of the guard runs.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use rollcall_services::Redis;

fn main() -> ExitCode {
    let folder = std::env::args().nth(1).unwrap_or_default();
    let redis = match Redis::start(Path::new(&folder)) {
        Ok(redis) => redis,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let process = serde_json::to_string(&redis.process()).unwrap_or_default();
    let told = writeln!(io::stdout(), "{process}");
    if told.is_ok() {
        // Until standard input ends, or somebody kills us.
        drop(io::copy(&mut io::stdin(), &mut io::sink()));
    }
    ExitCode::SUCCESS
}
