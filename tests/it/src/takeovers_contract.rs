//! The contract of the `Takeovers` port, for any adapter, as two nodes see it.

use std::collections::BTreeSet;
use std::sync::Arc;

use rollcall_actors::ports::{Takeover, Takeovers};
use rollcall_protocol::{Epoch, RoomId};
use tokio::task::JoinSet;

/// Shows the contract, one sentence after the other. Room names begin with `prefix`: others may use the same log.
pub async fn check(here: Arc<dyn Takeovers>, there: Arc<dyn Takeovers>, prefix: &str) {
    let takeover = |room: &str, epoch: u64| {
        let room = RoomId::parse(&format!("{prefix}{room}")).unwrap();
        Takeover { room, epoch: Epoch::new(epoch) }
    };
    let recent = async |node: &Arc<dyn Takeovers>| {
        let ours = |takeover: &Takeover| takeover.room.as_str().starts_with(prefix);
        let read = node.recent().await.unwrap().into_iter().filter(ours);
        read.map(|it| (it.room, it.epoch)).collect::<BTreeSet<_>>()
    };
    assert_eq!(recent(&here).await, BTreeSet::new());

    // What was inserted is read from then on, by the node itself and by others.
    let mut inserted = BTreeSet::new();
    for (node, epoch) in [(&here, 2), (&there, 3), (&here, 3), (&there, 1 << 50)] {
        let takeover = takeover("room", epoch);
        node.insert(&takeover).await.unwrap();
        inserted.insert((takeover.room, takeover.epoch));
        assert_eq!(recent(&here).await, inserted);
        assert_eq!(recent(&there).await, inserted);
    }

    // A node that took many rooms at once has told of each.
    let mut inserting = JoinSet::new();
    for number in 0..500 {
        let (node, takeover) = (Arc::clone(if number % 2 == 0 { &here } else { &there }), takeover("many", number));
        inserted.insert((takeover.room.clone(), takeover.epoch));
        inserting.spawn(async move { node.insert(&takeover).await.unwrap() });
    }
    inserting.join_all().await;
    assert_eq!(recent(&here).await, inserted);
    assert_eq!(recent(&there).await, inserted);
}
