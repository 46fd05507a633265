//! `rollcall compact`.

use rollcall::config::Config;
use rollcall::log::{EmbeddedLog, EmbeddedOptions};
use serde_json::json;

use super::args::CompactArguments;
use super::failure::{Failure, Kind};
use super::output;

/// Takes what was redacted or has expired off the disk.
pub async fn compact(arguments: &CompactArguments) -> Result<(), Failure> {
    let config = arguments.config.load()?.config;
    let log = open_log(&config)?;
    let compacted = log.compact().await.map_err(|error| Failure::new(Kind::Io, error))?;
    let (before, after) = (compacted.bytes_before, compacted.bytes_after);
    if arguments.json {
        output::json(&json!({"bytes_before": before, "bytes_after": after}))
    } else {
        output::line(&format!("compacted {}: {before} bytes before, {after} now", config.data.dir.display()))
    }
}

/// Opens the log of a server that is stopped. A folder that is not there is not made.
pub fn open_log(config: &Config) -> Result<EmbeddedLog, Failure> {
    let dir = &config.data.dir;
    if !dir.is_dir() {
        let text =
            format!("there is no data folder {}: name it by --data, or start a server to make it", dir.display());
        return Err(Failure::new(Kind::Io, text));
    }
    let options =
        EmbeddedOptions { disk_reserve_bytes: config.data.free_space_reserve_bytes, ..EmbeddedOptions::default() };
    Ok(EmbeddedLog::open(dir, options)?)
}
