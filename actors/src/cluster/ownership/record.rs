//! What Redis keeps under a node's key and under a room's owner key: short texts that a person can read.

use std::fmt;
use std::sync::Arc;

use rollcall_protocol::{Epoch, NUMBER_MAX};

use crate::cluster::{Incarnation, NodeRef, parse_node_id};

/// What a node says of itself under its key: `<incarnation> <open|closed> <where clients find it, or ->`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NodeRecord {
    /// Which life of the node this is.
    pub incarnation: Incarnation,
    /// Whether it takes rooms: not while it drains, and not with a clock that is wrong.
    pub takes_rooms: bool,
    /// Where clients find it, without blanks.
    pub connect: Option<Arc<str>>,
}

impl fmt::Display for NodeRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.takes_rooms { "open" } else { "closed" };
        write!(f, "{} {state} {}", self.incarnation, self.connect.as_deref().unwrap_or("-"))
    }
}

impl NodeRecord {
    /// Reads a record; none where the text is none that a node of this or an earlier version wrote. Words that a later version
    /// adds are passed over.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let incarnation = words.next()?.parse().ok()?;
        let takes_rooms = match words.next()? {
            "open" => true,
            "closed" => false,
            _ => return None,
        };
        let connect = words.next().filter(|&word| word != "-" && !word.is_empty()).map(Arc::from);
        Some(Self { incarnation, takes_rooms, connect })
    }
}

/// Who owns a room: `<epoch> <node> <incarnation>`. Valid while that life of the node lives.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OwnerRecord {
    /// The epoch of the ownership in the log; of an activation that is under way, the one that it has drawn.
    pub epoch: Epoch,
    /// Whose it is.
    pub owner: NodeRef,
}

impl fmt::Display for OwnerRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.epoch, self.owner.node.0, self.owner.incarnation)
    }
}

impl OwnerRecord {
    /// Returns the text under the room's key. Two texts are the same record only if they are equal.
    pub fn text(&self) -> Arc<str> {
        self.to_string().into()
    }

    /// Reads a record; none where the text is none that a node of this or an earlier version wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let epoch = words.next()?.parse().ok().filter(|&epoch: &u64| epoch <= NUMBER_MAX)?;
        let node = parse_node_id(words.next()?).ok()?;
        let incarnation = words.next()?.parse().ok()?;
        Some(Self { epoch: Epoch::new(epoch), owner: NodeRef::new(node, incarnation) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_read_back_from_their_text() {
        let record = NodeRecord { incarnation: Incarnation(7), takes_rooms: true, connect: Some("wss://a".into()) };
        assert_eq!(record.to_string(), "0000000000000007 open wss://a");
        assert_eq!(NodeRecord::parse(&record.to_string()), Some(record.clone()));
        let closed = NodeRecord { takes_rooms: false, connect: None, ..record };
        assert_eq!(closed.to_string(), "0000000000000007 closed -");
        assert_eq!(NodeRecord::parse(&closed.to_string()), Some(closed));
        let owner = NodeRef::new(parse_node_id("n1").unwrap(), Incarnation(7));
        let record = OwnerRecord { epoch: Epoch::new(12), owner };
        assert_eq!(record.to_string(), "12 n1 0000000000000007");
        assert_eq!(OwnerRecord::parse(&record.text()), Some(record));
    }

    #[test]
    fn a_later_version_may_add_words() {
        assert!(NodeRecord::parse("0000000000000007 open - more words").is_some());
        assert!(OwnerRecord::parse("12 n1 0000000000000007 more").is_some());
    }

    #[test]
    fn garbage_is_no_record() {
        for text in ["", " ", "7 open -", "0000000000000007", "0000000000000007 ajar -", "\u{fffd}"] {
            assert_eq!(NodeRecord::parse(text), None, "{text:?}");
        }
        let garbage = [
            "",
            "12",
            "12 n1",
            "-1 n1 0000000000000007",
            "12 a/b 0000000000000007",
            "9007199254740992 n1 0000000000000007",
        ];
        for text in garbage {
            assert_eq!(OwnerRecord::parse(text), None, "{text:?}");
        }
    }
}
