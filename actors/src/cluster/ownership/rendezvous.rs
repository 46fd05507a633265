//! Which node a room should go to, where nobody has it: all that see the same nodes say the same, without asking each other, and
//! when one comes or goes only its share of the rooms moves.
//!
//! Highest random weight: D. G. Thaler and C. V. Ravishankar, "Using Name-Based Mappings to Increase Hit Rates", IEEE/ACM
//! Transactions on Networking 6(1), 1998. A weight is the first eight bytes, big-endian, of SHA-256(node 0x00 room): neither name
//! contains 0x00, and the hash is the same on every machine and in every version.

use rollcall_protocol::RoomId;
use sha2::{Digest, Sha256};

use crate::ports::NodeId;

/// Returns the node with the highest weight for a room; none of none. Of equal weights the greater name wins.
pub fn preferred<'a>(room: &RoomId, nodes: impl IntoIterator<Item = &'a NodeId>) -> Option<&'a NodeId> {
    nodes.into_iter().max_by_key(|&node| (weight(room, node), node))
}

fn weight(room: &RoomId, node: &NodeId) -> u64 {
    let digest = Sha256::new().chain_update(node.0.as_bytes()).chain_update([0]).chain_update(room.as_str()).finalize();
    let (first, _) = digest.split_first_chunk().expect("a hash has 32 bytes");
    u64::from_be_bytes(*first)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn nodes(names: &[&str]) -> Vec<NodeId> {
        names.iter().map(|&name| NodeId(name.into())).collect()
    }

    fn room(number: usize) -> RoomId {
        RoomId::parse(&format!("room-{number}")).unwrap()
    }

    #[test]
    fn the_weights_never_change() {
        // From `printf 'n1\0general' | sha256sum`: nodes of two versions must agree.
        assert_eq!(weight(&RoomId::parse("general").unwrap(), &NodeId("n1".into())), 0x1865_db7f_164a_171d);
    }

    #[test]
    fn the_order_of_the_nodes_does_not_matter() {
        let (some, same) = (nodes(&["a", "b", "c"]), nodes(&["c", "a", "b"]));
        for room in (0..100).map(room) {
            assert_eq!(preferred(&room, &some), preferred(&room, &same));
        }
        assert_eq!(preferred(&room(0), &[]), None);
    }

    #[test]
    fn rooms_are_spread_evenly() {
        let nodes = nodes(&["a", "b", "c", "d"]);
        let mut rooms: BTreeMap<&NodeId, usize> = BTreeMap::new();
        for room in (0..4_000).map(room) {
            *rooms.entry(preferred(&room, &nodes).unwrap()).or_default() += 1;
        }
        assert!(rooms.values().all(|count| (850..1_150).contains(count)), "{rooms:?}");
    }

    #[test]
    fn a_node_that_goes_moves_its_own_rooms_alone() {
        let all = nodes(&["a", "b", "c", "d"]);
        for room in (0..1_000).map(room) {
            let before = preferred(&room, &all).unwrap();
            let after = preferred(&room, &all[1..]).unwrap();
            assert!(before == after || *before == all[0]);
        }
    }
}
