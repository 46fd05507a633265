//! As much of the Redis protocol as it takes to set servers up and to ask how they are: one command, one reply.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a server may take to accept, and to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// What a Redis server answered. Bytes that are no UTF-8 are replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Nothing.
    Nil,
    /// A status or a string.
    Text(String),
    /// A number.
    Integer(i64),
    /// An error; its text begins with a code.
    Error(String),
    /// Several of them.
    List(Vec<Reply>),
}

impl Reply {
    /// Returns the text of a status or a string.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the elements of a list; none of anything else.
    pub fn as_list(&self) -> &[Reply] {
        match self {
            Self::List(list) => list,
            _ => &[],
        }
    }
}

/// Connects, sends one command, and returns the reply.
pub(crate) fn command(address: SocketAddr, words: &[&str]) -> io::Result<Reply> {
    command_with(address, None, words)
}

/// As [`command`], after it has shown a password if there is one.
pub(super) fn command_with(address: SocketAddr, password: Option<&str>, words: &[&str]) -> io::Result<Reply> {
    let stream = TcpStream::connect_timeout(&address, ANSWER_LIMIT)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    stream.set_write_timeout(Some(ANSWER_LIMIT))?;
    let mut reader = BufReader::new(&stream);
    if let Some(password) = password {
        (&stream).write_all(request(&["AUTH", password]).as_bytes())?;
        if let refused @ Reply::Error(_) = read_reply(&mut reader)? {
            return Ok(refused);
        }
    }
    (&stream).write_all(request(words).as_bytes())?;
    read_reply(&mut reader)
}

fn request(words: &[&str]) -> String {
    let words = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len()));
    format!("*{}\r\n{}", words.len(), words.collect::<String>())
}

/// Returns the value of `field:value` in what INFO or CLUSTER INFO answered.
pub(super) fn info<'a>(text: &'a str, field: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.trim_end().strip_prefix(field)?.strip_prefix(':'))
}

fn read_reply(reader: &mut impl BufRead) -> io::Result<Reply> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let broken = || io::Error::new(io::ErrorKind::InvalidData, format!("no reply of a Redis server: {line:?}"));
    let text = line.strip_suffix("\r\n").ok_or_else(broken)?;
    let kind = text.chars().next().filter(char::is_ascii).ok_or_else(broken)?;
    let rest = &text[1..];
    let number = || rest.parse::<i64>().map_err(|_| broken());
    Ok(match kind {
        '+' => Reply::Text(rest.to_owned()),
        '-' => Reply::Error(rest.to_owned()),
        ':' => Reply::Integer(number()?),
        '$' => match usize::try_from(number()?) {
            Err(_) => Reply::Nil,
            Ok(length) => {
                let mut bytes = vec![0; length + 2];
                reader.read_exact(&mut bytes)?;
                bytes.truncate(length);
                Reply::Text(String::from_utf8_lossy(&bytes).into_owned())
            }
        },
        '*' => match usize::try_from(number()?) {
            Err(_) => Reply::Nil,
            Ok(count) => Reply::List((0..count).map(|_| read_reply(reader)).collect::<io::Result<_>>()?),
        },
        _ => return Err(broken()),
    })
}

#[cfg(test)]
mod tests {
    use super::{Reply, info, read_reply};

    #[test]
    fn replies_are_read() {
        let text = |text: &str| Reply::Text(text.to_owned());
        let read = |bytes: &[u8]| read_reply(&mut &*bytes);
        assert_eq!(read(b"+PONG\r\n").unwrap(), text("PONG"));
        assert_eq!(read(b"-LOADING wait\r\n").unwrap(), Reply::Error("LOADING wait".to_owned()));
        assert_eq!(read(b"$-1\r\n").unwrap(), Reply::Nil);
        assert_eq!(
            read(b"*3\r\n:-7\r\n$4\r\na\r\nb\r\n*1\r\n+x\r\n").unwrap(),
            Reply::List(vec![Reply::Integer(-7), text("a\r\nb"), Reply::List(vec![text("x")])])
        );
        for broken in [&b""[..], b"\r\n", b"+PO", b":x\r\n", b"$4\r\nab", b"HTTP/1.1 400\r\n"] {
            assert!(read(broken).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "# Replication\r\nrole:master\r\nconnected_slaves:1\r\n";
        assert_eq!(info(text, "connected_slaves"), Some("1"));
        assert_eq!(info(text, "connected"), None);
    }
}
