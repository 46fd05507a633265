//! Standard output: results and nothing else.

use std::io::{self, ErrorKind, Read, Write};

use serde::Serialize;

use super::failure::{Failure, Kind};

/// Prints a line and brings it out at once. Where nobody reads any more, as after `| head -1`, the process ends well.
///
/// # Errors
/// Where it cannot be written for another reason.
pub fn line(text: &str) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    match writeln!(output, "{text}").and_then(|()| output.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(Failure::new(Kind::Io, format!("failed to write to standard output: {error}"))),
    }
}

/// Prints a value as a line of JSON.
///
/// # Errors
/// As [`line`].
///
/// # Panics
/// Never: what is printed are plain values.
pub fn json(value: &impl Serialize) -> Result<(), Failure> {
    line(&serde_json::to_string(value).expect("plain values are JSON"))
}

/// Takes an argument, or standard input where it is `-`, without its last line end.
///
/// # Errors
/// Where standard input cannot be read, or is not UTF-8.
pub fn argument_or_input(argument: &str) -> Result<String, Failure> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    let mut text = String::new();
    let read = io::stdin().lock().read_to_string(&mut text);
    read.map_err(|error| Failure::new(Kind::Io, format!("failed to read standard input: {error}")))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}
