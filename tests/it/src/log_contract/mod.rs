//! The contract of the `Log` port, sentence by sentence, for any adapter.
//!
//! An adapter is tested by naming it once, with how to make one (see `tests/log_contract.rs`):
//! ```ignore
//! rollcall_it::log_contract!(memory, MemoryUnderTest::new());
//! ```

mod activations;
mod appends;
mod durability;
mod expiry;
mod reads;
mod redaction;
mod snapshots;

use std::sync::Arc;

use rollcall_actors::ports::Log;

pub use activations::*;
pub use appends::*;
pub use durability::*;
pub use expiry::*;
pub use reads::*;
pub use redaction::*;
pub use snapshots::*;

/// A fresh log of an adapter.
pub trait LogUnderTest {
    /// Returns the open log.
    fn log(&self) -> Arc<dyn Log>;

    /// Returns the name of a room of this test's own, where the tests of an adapter share one store. Rooms whose names begin alike
    /// keep doing so.
    fn room(&self, name: &str) -> String {
        name.to_owned()
    }

    /// Ends the log as a crash of its process would and opens it again, where the adapter keeps anything; what was answered
    /// before must be there after. An adapter that keeps nothing does nothing.
    fn reopen(&mut self);
}

/// Makes one test of each sentence of the contract for an adapter.
#[macro_export]
macro_rules! log_contract {
    ($adapter:ident, $make:expr) => {
        $crate::log_contract!(@each $adapter, $make,
            what_was_committed_is_there_after_a_reopen
            fences_outlive_a_reopen
            redactions_outlive_a_reopen
            snapshots_and_floors_outlive_a_reopen
            an_append_is_stored_whole_or_not_at_all
            activation_fences_earlier_owners
            activation_decides_about_appends_under_way
            two_activations_of_an_unknown_room_have_one_winner
            epochs_grow_with_each_activation
            an_epoch_above_all_seen_is_used_as_asked
            a_wrong_hint_costs_nothing_but_time
            an_activation_tells_whose_fence_it_replaced
            a_released_fence_appends_nothing_more
            an_unknown_room_is_stored_by_its_first_append
            appends_are_committed_in_the_order_of_their_calls
            a_number_follows_the_last_or_the_append_is_fenced
            rooms_are_independent
            a_dropped_future_undoes_nothing
            reads_return_ranges_in_order
            reads_stop_at_their_limits
            reads_return_what_was_appended_field_by_field
            reads_beyond_the_end_are_empty
            tail_includes_what_was_answered
            a_redaction_takes_its_target_and_its_edits
            an_edit_above_the_redaction_never_shows
            redactions_within_one_append
            a_redacted_edit_leaves_its_target
            redactions_keep_what_proves_the_chain
            the_newest_snapshot_that_is_not_too_new
            a_snapshot_is_written_again
            older_snapshots_go_when_newer_ones_came
            a_snapshot_from_before_a_redaction_goes
            large_snapshots_keep_their_parts_in_order
            a_snapshot_of_an_unknown_room_changes_nothing
            expired_entries_are_named_as_such
            numbering_goes_on_after_expiry
            a_floor_never_rises_above_what_a_snapshot_covers
            a_floor_never_falls
            redactions_reach_edits_of_expired_targets
        );
    };
    (@each $adapter:ident, $make:expr, $($case:ident)*) => {
        mod $adapter {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let mut log = $make;
                    $crate::log_contract::$case(&mut log).await;
                }
            )*
        }
    };
}
