//! The ways to other nodes that are open.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rollcall_actors::ports::NodeId;

/// A way that nothing was sent on for this long is closed: its node is gone, or watches nothing here. It is opened again when
/// something is to be sent.
const IDLE: Duration = Duration::from_secs(60);

/// The ways to nodes, by their names.
#[derive(Debug)]
pub(super) struct Outboxes<T> {
    by_node: BTreeMap<NodeId, Used<T>>,
    looked_at: Option<Instant>,
}

#[derive(Debug)]
struct Used<T> {
    outbox: T,
    used_at: Instant,
}

impl<T> Default for Outboxes<T> {
    fn default() -> Self {
        Self { by_node: BTreeMap::new(), looked_at: None }
    }
}

impl<T> Outboxes<T> {
    /// Returns the way to a node, to send something now, and opens it if need be. Closes those that are not used any more, at which it
    /// looks now and then.
    pub fn to(&mut self, now: Instant, node: &NodeId, open: impl FnOnce() -> T) -> &T {
        let looked_at = *self.looked_at.get_or_insert(now);
        if now.saturating_duration_since(looked_at) >= IDLE {
            self.looked_at = Some(now);
            self.by_node.retain(|_, used| now.saturating_duration_since(used.used_at) < IDLE);
        }
        let used = self.by_node.entry(node.clone()).or_insert_with(|| Used { outbox: open(), used_at: now });
        used.used_at = now;
        &used.outbox
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[test]
    fn the_way_to_a_node_that_is_gone_is_closed_and_others_stay() {
        let node = |name: &str| NodeId(name.into());
        let (gone, lives) = (Rc::new("gone"), Rc::new("lives"));
        let (mut outboxes, begin) = (Outboxes::default(), Instant::now());
        outboxes.to(begin, &node("gone"), || Rc::clone(&gone));
        for second in 0..300 {
            let opened = outboxes.to(begin + Duration::from_secs(second), &node("lives"), || Rc::clone(&lives));
            assert_eq!(**opened, "lives");
            assert_eq!(Rc::strong_count(&lives), 2, "it is opened once");
        }
        assert_eq!(Rc::strong_count(&gone), 1, "nobody holds it");
        outboxes.to(begin + Duration::from_secs(300), &node("gone"), || Rc::clone(&gone));
        assert_eq!((Rc::strong_count(&gone), Rc::strong_count(&lives)), (2, 2));
    }
}
