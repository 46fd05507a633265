//! The server's own counters, from its ops listener.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Counters and gauges as they stood at one moment.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    text: String,
}

impl Metrics {
    /// Asks an ops listener for its metrics.
    ///
    /// # Errors
    /// Where it is not there or answers with something else.
    pub async fn fetch(ops: SocketAddr) -> anyhow::Result<Self> {
        match get(ops, "/metrics").await? {
            (200, text) => Ok(Self { text }),
            (status, _) => bail!("/metrics answered with {status}"),
        }
    }

    /// Returns the sum of a metric over all its labels; none if there is no such metric.
    pub fn sum(&self, name: &str) -> Option<f64> {
        self.sum_of(name, "")
    }

    /// Returns the sum of a metric over the series whose labels have these words in them.
    fn sum_of(&self, name: &str, label: &str) -> Option<f64> {
        let values = self.text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let value = match rest.strip_prefix('{') {
                Some(labels) => labels.rsplit_once('}').filter(|(labels, _)| labels.contains(label))?.1,
                None => rest.strip_prefix(' ').filter(|_| label.is_empty())?,
            };
            value.split_whitespace().next()?.parse::<f64>().ok()
        });
        values.reduce(|sum, value| sum + value)
    }

    /// Returns the sum of a counter as a whole number; none if there is no such counter.
    pub fn count(&self, name: &str) -> Option<u64> {
        self.count_of(name, "")
    }

    /// Returns the sum of a counter over the series that have this label, as `name="value"`; none if there are none.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counters are whole and not negative")]
    pub fn count_of(&self, name: &str, label: &str) -> Option<u64> {
        self.sum_of(name, label).map(|value| value as u64)
    }

    /// Returns a counter whose one label is its kind, by that.
    pub fn by_kind(&self, name: &str) -> BTreeMap<String, u64> {
        let kinds = self.text.lines().filter_map(|line| {
            let (kind, _) = line.strip_prefix(name)?.strip_prefix("{kind=\"")?.split_once('"')?;
            Some((kind.to_owned(), self.count_of(name, &format!("kind=\"{kind}\""))?))
        });
        kinds.collect()
    }
}

/// Tells whether an ops listener says that its server is ready.
pub async fn is_ready(ops: SocketAddr) -> bool {
    matches!(get(ops, "/readyz").await, Ok((200, _)))
}

async fn get(address: SocketAddr, path: &str) -> anyhow::Result<(u16, String)> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = tokio::time::timeout(TIMEOUT, exchange)
        .await
        .map_err(|_| anyhow!("the ops listener took more than {TIMEOUT:?}"))?
        .with_context(|| format!("failed to ask the ops listener at {address}"))?;
    parse(&answer).ok_or_else(|| anyhow!("the ops listener did not answer in HTTP"))
}

/// Takes an answer apart. The body is that of `connection: close`; chunks are put together.
fn parse(answer: &[u8]) -> Option<(u16, String)> {
    let answer = std::str::from_utf8(answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    if !head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        return Some((status, body.to_owned()));
    }
    let (mut whole, mut rest) = (String::new(), body);
    loop {
        let (length, after) = rest.split_once("\r\n")?;
        let length = usize::from_str_radix(length.trim(), 16).ok()?;
        if length == 0 {
            return Some((status, whole));
        }
        whole.push_str(after.get(..length)?);
        rest = after.get(length..)?.strip_prefix("\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_the_sum_over_its_labels_and_of_its_whole_name() {
        let text = "# TYPE rollcall_rooms gauge\nrollcall_rooms 7\nrollcall_rooms_max 9\n\
                    rollcall_log_syncs_total{log=\"a\"} 3\nrollcall_log_syncs_total{log=\"b\"} 4\n# EOF\n";
        let metrics = Metrics { text: text.to_owned() };
        assert_eq!(metrics.count("rollcall_rooms"), Some(7));
        assert_eq!(metrics.count("rollcall_log_syncs_total"), Some(7));
        assert_eq!(metrics.sum("rollcall_log"), None);
        assert_eq!(metrics.count_of("rollcall_log_syncs_total", "log=\"b\""), Some(4));
        assert_eq!(metrics.count_of("rollcall_log_syncs_total", "log=\"c\""), None);
    }

    #[test]
    fn what_has_kinds_is_told_by_them() {
        let text = "said_total{kind=\"batch\"} 3\nsaid_total{kind=\"watch\"} 4\nsaid_total_max{kind=\"none\"} 1\n";
        let metrics = Metrics { text: text.to_owned() };
        let kinds = [("batch".to_owned(), 3), ("watch".to_owned(), 4)];
        assert_eq!(metrics.by_kind("said_total"), BTreeMap::from(kinds));
        assert_eq!(metrics.by_kind("other_total"), BTreeMap::new());
    }

    #[test]
    fn answers_whole_and_in_chunks() {
        let whole = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nready";
        assert_eq!(parse(whole), Some((200, "ready".to_owned())));
        let chunked = b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nnot\r\n6\r\n ready\r\n0\r\n\r\n";
        assert_eq!(parse(chunked), Some((503, "not ready".to_owned())));
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\n"), None);
    }
}
