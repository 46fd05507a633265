//! Where a message of Redis begins and ends (RESP 2 and 3), and which of them is one that somebody published.

/// How deep messages may be put into one another.
const DEPTH_MAX: usize = 16;

/// Cuts what Redis says into whole messages, however its bytes come.
#[derive(Debug, Default)]
pub struct RespFrames {
    begun: Vec<u8>,
    /// Something came that is no message: from there on nothing is known, and everything goes on as it comes.
    is_lost: bool,
}

impl RespFrames {
    /// Takes the next bytes, and returns the messages that they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.begun.extend_from_slice(bytes);
        let (mut messages, mut taken) = (Vec::new(), 0);
        while !self.is_lost {
            match message_end(&self.begun, taken, DEPTH_MAX) {
                Found::End(end) => {
                    messages.push(self.begun[taken..end].to_vec());
                    taken = end;
                }
                Found::Unfinished => break,
                Found::Garbage => self.is_lost = true,
            }
        }
        self.begun.drain(..taken);
        if self.is_lost && !self.begun.is_empty() {
            messages.push(std::mem::take(&mut self.begun));
        }
        messages
    }

    /// Returns the bytes of a message that was begun and never completed.
    pub fn rest(self) -> Vec<u8> {
        self.begun
    }
}

/// Returns whether a message is one that somebody published on a sharded channel, as Redis passes it on to a subscriber.
pub fn is_published(message: &[u8]) -> bool {
    let rest = message.strip_prefix(b">3\r\n").or_else(|| message.strip_prefix(b"*3\r\n"));
    rest.is_some_and(|rest| rest.starts_with(b"$8\r\nsmessage\r\n"))
}

/// Shifts every time of a message that is about now and is told in whole seconds since 1970, as Redis's TIME tells it.
pub fn shift_times(message: &mut [u8], by_s: i64, now_s: u64) {
    const BEGIN: &[u8] = b"$10\r\n";
    const DIGITS: usize = 10;
    const ABOUT_S: u64 = 24 * 60 * 60;
    for at in BEGIN.len()..message.len().saturating_sub(DIGITS - 1) {
        let (before, after) = message.split_at_mut(at);
        let digits = &mut after[..DIGITS];
        let time = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u64>().ok());
        if let Some(time) = time.filter(|time| before.ends_with(BEGIN) && time.abs_diff(now_s) < ABOUT_S) {
            digits.copy_from_slice(format!("{:0DIGITS$}", time.saturating_add_signed(by_s)).as_bytes());
        }
    }
}

/// Writes another major version, of one digit, into what a Redis says of itself. Longer ones keep their length: `06`.
pub fn show_major(message: &mut [u8], major: u8) {
    const FIELD: &[u8] = b"redis_version:";
    let Some(at) = message.windows(FIELD.len()).position(|window| window == FIELD) else { return };
    let version = &mut message[at + FIELD.len()..];
    let digits = version.iter().take_while(|byte| byte.is_ascii_digit()).count();
    version[..digits].fill(b'0');
    if let Some(last) = version[..digits].last_mut() {
        *last = b'0' + major % 10;
    }
}

/// Where a message ends.
enum Found {
    End(usize),
    Unfinished,
    Garbage,
}

fn message_end(bytes: &[u8], begin: usize, depth: usize) -> Found {
    let Some(rest) = bytes.get(begin..).filter(|rest| !rest.is_empty()) else { return Found::Unfinished };
    let Some(line) = rest.windows(2).position(|pair| pair == b"\r\n") else { return Found::Unfinished };
    let after = begin + line + 2;
    let length = || std::str::from_utf8(&rest[1..line]).ok()?.parse::<i64>().ok();
    match rest[0] {
        b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => Found::End(after),
        b'$' | b'=' | b'!' => match length() {
            None => Found::Garbage,
            // A null of RESP 2.
            Some(..0) => Found::End(after),
            Some(length) => {
                let end =
                    usize::try_from(length).map_or(usize::MAX, |length| after.saturating_add(length).saturating_add(2));
                if end <= bytes.len() { Found::End(end) } else { Found::Unfinished }
            }
        },
        kind @ (b'*' | b'~' | b'>' | b'%' | b'|') => {
            let Some((count, depth)) = length().zip(depth.checked_sub(1)) else { return Found::Garbage };
            // Maps have pairs; an attribute goes before what it is about.
            let parts = match kind {
                b'%' => 2 * count.max(0),
                b'|' => 2 * count.max(0) + 1,
                _ => count.max(0),
            };
            let mut at = after;
            for _ in 0..parts {
                match message_end(bytes, at, depth) {
                    Found::End(end) => at = end,
                    other => return other,
                }
            }
            Found::End(at)
        }
        _ => Found::Garbage,
    }
}

/// What Redis says to a subscriber of a message on a channel.
#[cfg(test)]
pub(crate) fn published(body: &[u8]) -> Vec<u8> {
    let length = body.len().to_string();
    [b">3\r\n$8\r\nsmessage\r\n$4\r\nnode\r\n$", length.as_bytes(), b"\r\n", body, b"\r\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::{RespFrames, is_published, published, shift_times, show_major};

    #[test]
    fn messages_are_found_however_their_bytes_come() {
        let sent: [Vec<u8>; 8] = [
            b"+OK\r\n".to_vec(),
            published(b"with \r\n in it"),
            b"*2\r\n$-1\r\n:12\r\n".to_vec(),
            b"%1\r\n+a\r\n*1\r\n_\r\n".to_vec(),
            b">3\r\n$10\r\nssubscribe\r\n$4\r\nnode\r\n:1\r\n".to_vec(),
            b"|1\r\n+ttl\r\n:3\r\n#t\r\n".to_vec(),
            b"*0\r\n".to_vec(),
            b"-ERR no\r\n".to_vec(),
        ];
        let stream = sent.concat();
        for size in [1, 2, 3, 7, 20, stream.len()] {
            let mut frames = RespFrames::default();
            let found: Vec<Vec<u8>> = stream.chunks(size).flat_map(|bytes| frames.push(bytes)).collect();
            assert_eq!(found, sent, "in chunks of {size}");
            assert_eq!(frames.rest(), b"");
        }
        assert_eq!(sent.iter().filter(|message| is_published(message)).count(), 1);
    }

    #[test]
    fn what_is_no_message_goes_on_as_it_comes() {
        for garbage in [&b"hello\r\n"[..], b"$x\r\n", b"*1\r\n?\r\n", &b"*1\r\n".repeat(100)] {
            let mut frames = RespFrames::default();
            let came = [frames.push(b"+OK\r\n"), frames.push(garbage), frames.push(b"more")].concat();
            assert_eq!(came.concat(), [b"+OK\r\n", garbage, b"more"].concat());
        }
    }

    #[test]
    fn times_about_now_are_shifted_and_nothing_else_is() {
        let mut message =
            b"*4\r\n$10\r\n1790000005\r\n:1790000005\r\n$10\r\n0123456789\r\n$10\r\nten letter\r\n".to_vec();
        shift_times(&mut message, -3_600, 1_790_000_000);
        let shifted = b"*4\r\n$10\r\n1789996405\r\n:1790000005\r\n$10\r\n0123456789\r\n$10\r\nten letter\r\n";
        assert_eq!(message, shifted);
        shift_times(&mut [], 1, 1);
    }

    #[test]
    fn the_version_that_a_server_says_it_has_is_another_one() {
        for (said, shown) in [
            ("=33\r\ntxt:# Server\r\nredis_version:7.0.15\r\n", "=33\r\ntxt:# Server\r\nredis_version:6.0.15\r\n"),
            ("redis_version:12.1\r\n", "redis_version:06.1\r\n"),
            ("redis_version:", "redis_version:"),
            ("valkey:7.2", "valkey:7.2"),
        ] {
            let mut message = said.as_bytes().to_vec();
            show_major(&mut message, 6);
            assert_eq!(String::from_utf8(message).unwrap(), shown);
        }
    }

    #[test]
    fn what_was_begun_is_kept() {
        let mut frames = RespFrames::default();
        assert!(frames.push(b"$5\r\nhel").is_empty());
        assert_eq!(frames.rest(), b"$5\r\nhel");
    }
}
