//! Where each node says that rooms end: all must say the same, once all is healed.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow};
use rollcall_load::link::Link;
use rollcall_load::run::Run;
use rollcall_load::target::Endpoint;
use rollcall_protocol::{History, Op};

/// A room's last number and its place in the hash chain, in words.
type Heads = BTreeMap<String, String>;

/// Asks a node where the run's rooms end.
///
/// # Errors
/// Where it does not answer.
pub async fn heads_at(run: &Run, endpoint: &Endpoint) -> anyhow::Result<Heads> {
    let (mut link, _) = Link::open(endpoint, &format!("{}-heads", run.prefix), "reader").await?;
    let mut heads = Heads::new();
    for room in run.rooms() {
        let mut history = History::latest(room.clone());
        history.limit = Some(1);
        history.evidence = true;
        let answer = link.ask(Op::History(history)).await.with_context(|| format!("of the room {room}"))?;
        let page = answer.history().ok_or_else(|| anyhow!("history was answered with something else"))?;
        let hash = page.list.last().and_then(|entry| entry.hash);
        let last = page.list.last().map_or(0, |entry| entry.seq.get());
        heads.insert(room.as_str().to_owned(), format!("head {}, last entry {last} with hash {hash:?}", page.head));
    }
    Ok(heads)
}

/// Returns what nodes say that others do not.
pub fn differences(told: &[(String, Heads)]) -> Vec<String> {
    let Some(((first, expected), others)) = told.split_first() else { return Vec::new() };
    let differing = others.iter().flat_map(|(node, heads)| {
        let rooms = heads.iter().filter(|(room, head)| expected.get(*room) != Some(*head));
        rooms.map(move |(room, head)| {
            let theirs = expected.get(room).map_or("nothing", String::as_str);
            format!("{first} and {node} do not agree on {room}: {theirs}; {head}")
        })
    });
    differing.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_that_do_not_agree_are_named() {
        let told = |node: &str, head: &str| {
            (node.to_owned(), Heads::from([("a".to_owned(), "head 1".to_owned()), ("b".to_owned(), head.to_owned())]))
        };
        assert_eq!(differences(&[told("n1", "head 7"), told("n2", "head 7")]), [""; 0]);
        let found = differences(&[told("n1", "head 7"), told("n2", "head 7"), told("n3", "head 8")]);
        assert_eq!(found, ["n1 and n3 do not agree on b: head 7; head 8"]);
    }
}
