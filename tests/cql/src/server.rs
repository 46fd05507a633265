//! The Cassandra that all tests of a binary share.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::{env, fs, process};

use rollcall_services::{Cassandra, unless_skipped};

/// Returns the server of this process, and starts it the first time; none, said loudly, where the machine cannot run one. It
/// ends with the process.
///
/// # Panics
/// Where it does not start for another reason than what the machine lacks.
pub fn cassandra() -> Option<&'static Cassandra> {
    static CASSANDRA: OnceLock<Option<Cassandra>> = OnceLock::new();
    let start = || unless_skipped(Cassandra::start(&own_folder(), 1));
    // Starting blocks, for seconds.
    tokio::task::block_in_place(|| CASSANDRA.get_or_init(start).as_ref())
}

/// Makes a folder that nobody else uses. Nobody is left to remove it when the process ends, so the next one does.
fn own_folder() -> PathBuf {
    let all = env::temp_dir().join("rollcall-cql-tests");
    fs::create_dir_all(&all).expect("the folder for temporary files can be written to");
    for folder in fs::read_dir(&all).expect("it was just made").flatten() {
        if !Path::new("/proc").join(folder.file_name()).exists() {
            // Another test process may be removing it too.
            fs::remove_dir_all(folder.path()).ok();
        }
    }
    let own = all.join(process::id().to_string());
    fs::create_dir_all(&own).expect("the folder for temporary files can be written to");
    own
}
