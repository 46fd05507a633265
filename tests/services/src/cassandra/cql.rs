//! As much of the CQL native protocol (version 4) as it takes to ask a node a question: one connection, one plain statement.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use thiserror::Error;

/// How long a node may take to accept a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// How long a node may take to answer; a change of the schema takes seconds on a busy machine.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);

const VERSION: u8 = 4;
const RESPONSE: u8 = 0x80;
const ERROR: u8 = 0;
const STARTUP: u8 = 1;
const READY: u8 = 2;
const AUTHENTICATE: u8 = 3;
const QUERY: u8 = 7;
const RESULT: u8 = 8;
const AUTH_RESPONSE: u8 = 15;
const AUTH_SUCCESS: u8 = 16;
const ROWS: i32 = 2;

/// The role that a server makes for itself, and its password, as a server that asks for them takes them.
const SUPERUSER: &[u8] = b"\0cassandra\0cassandra";

/// The longest answer that is read: rows of a test.
const ANSWER_BYTES_MAX: usize = 16 * 1_024 * 1_024;

/// How many replicas have to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consistency {
    /// Any one.
    One = 1,
    /// More than half.
    Quorum = 4,
    /// All.
    All = 5,
}

/// A row: the bytes of each column, as the protocol has them; none for null.
pub type Row = Vec<Option<Vec<u8>>>;

/// Why a statement has no result.
#[derive(Debug, Error)]
pub enum QueryError {
    /// The node does not answer.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The node refuses; the codes are in the protocol's specification.
    #[error("error {code:#06x}: {message}")]
    Refused {
        /// The protocol's code.
        code: i32,
        /// The node's text.
        message: String,
    },
    /// What came is not what the protocol says.
    #[error("no answer of a CQL server: {0}")]
    Broken(&'static str),
}

/// Connects to a node and carries out one statement without values; returns its rows, none if it gives none.
pub(crate) fn query(address: SocketAddr, statement: &str, consistency: Consistency) -> Result<Vec<Row>, QueryError> {
    let mut stream = TcpStream::connect_timeout(&address, CONNECT_LIMIT)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    stream.set_write_timeout(Some(ANSWER_LIMIT))?;

    let mut startup = vec![0, 1];
    for text in ["CQL_VERSION", "3.0.0"] {
        startup.extend(u16::try_from(text.len()).unwrap_or(0).to_be_bytes());
        startup.extend(text.as_bytes());
    }
    match exchange(&mut stream, STARTUP, &startup)? {
        (READY, _) => {}
        (AUTHENTICATE, _) => log_in(&mut stream)?,
        _ => return Err(QueryError::Broken("it is not ready after STARTUP")),
    }
    let length = i32::try_from(statement.len()).map_err(|_| QueryError::Broken("the statement is too long"))?;
    let flags = 0;
    let query = [&length.to_be_bytes()[..], statement.as_bytes(), &[0, consistency as u8, flags]].concat();
    match exchange(&mut stream, QUERY, &query)? {
        (RESULT, body) => rows(&mut Body(&body)),
        _ => Err(QueryError::Broken("it is no result")),
    }
}

/// Logs in as the server's own superuser, where a test has made it ask.
fn log_in(stream: &mut TcpStream) -> Result<(), QueryError> {
    let length = i32::try_from(SUPERUSER.len()).map_err(|_| QueryError::Broken("the password is too long"))?;
    match exchange(stream, AUTH_RESPONSE, &[&length.to_be_bytes(), SUPERUSER].concat())? {
        (AUTH_SUCCESS, _) => Ok(()),
        _ => Err(QueryError::Broken("it is not ready after a login")),
    }
}

fn exchange(stream: &mut TcpStream, opcode: u8, body: &[u8]) -> Result<(u8, Vec<u8>), QueryError> {
    let length = i32::try_from(body.len()).map_err(|_| QueryError::Broken("the request is too long"))?;
    stream.write_all(&[&[VERSION, 0, 0, 0, opcode][..], &length.to_be_bytes(), body].concat())?;
    let mut header = [0; 9];
    stream.read_exact(&mut header)?;
    let [version, _, _, _, opcode, length @ ..] = header;
    let length = usize::try_from(i32::from_be_bytes(length)).ok().filter(|&length| length <= ANSWER_BYTES_MAX);
    let length = length.filter(|_| version == RESPONSE | VERSION).ok_or(QueryError::Broken("its header is strange"))?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    if opcode == ERROR {
        let mut body = Body(&body);
        return Err(QueryError::Refused { code: body.int()?, message: body.string()? });
    }
    Ok((opcode, body))
}

/// Reads a result of the kind Rows, whose columns are of plain types.
fn rows(body: &mut Body<'_>) -> Result<Vec<Row>, QueryError> {
    const GLOBAL_TABLE: i32 = 1;
    const MORE_PAGES: i32 = 2;
    if body.int()? != ROWS {
        return Ok(Vec::new());
    }
    let flags = body.int()?;
    let columns = body.int()?;
    if flags & MORE_PAGES != 0 {
        body.bytes()?;
    }
    if flags & GLOBAL_TABLE != 0 {
        body.string()?;
        body.string()?;
    }
    for _ in 0..columns {
        if flags & GLOBAL_TABLE == 0 {
            body.string()?;
            body.string()?;
        }
        body.string()?;
        if !(1..0x20).contains(&body.short()?) {
            return Err(QueryError::Broken("a column is of no plain type"));
        }
    }
    (0..body.int()?).map(|_| (0..columns).map(|_| body.bytes()).collect()).collect()
}

/// What is left of a body.
struct Body<'a>(&'a [u8]);

impl Body<'_> {
    fn take(&mut self, length: usize) -> Result<&[u8], QueryError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(QueryError::Broken("it is too short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn short(&mut self) -> Result<u16, QueryError> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn int(&mut self) -> Result<i32, QueryError> {
        self.take(4).map(|bytes| i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn string(&mut self) -> Result<String, QueryError> {
        let length = usize::from(self.short()?);
        self.take(length).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    fn bytes(&mut self) -> Result<Option<Vec<u8>>, QueryError> {
        match usize::try_from(self.int()?) {
            Ok(length) => self.take(length).map(|bytes| Some(bytes.to_vec())),
            Err(_) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Body, QueryError, rows};

    #[test]
    fn rows_are_read_and_nulls_are_told_apart() {
        let text = |text: &str| [&[0, u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat();
        let head =
            [&[0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1][..], &text("ks"), &text("t"), &text("a"), &[0, 0x0d]].concat();
        let body = [&head[..], &[0, 0, 0, 2, 0, 0, 0, 1, b'x', 0xff, 0xff, 0xff, 0xff]].concat();
        assert_eq!(rows(&mut Body(&body)).unwrap(), [[Some(b"x".to_vec())], [None]]);
        assert!(rows(&mut Body(&[0, 0, 0, 1])).unwrap().is_empty(), "a statement without rows");
        assert!(matches!(rows(&mut Body(&body[..body.len() - 1])), Err(QueryError::Broken(_))));
    }
}
