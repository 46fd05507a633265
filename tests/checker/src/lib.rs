//! The judge of histories: takes what clients did and saw, and the log as it is in the end, and names every broken promise.
//!
//! ```text
//!  simulator ─┐ typed events                ┌─ anomalies: rule, room, words, offending events
//!  load runs ─┼──────────────▶ Checker ─────┼─ summary: counts
//!  a file   ──┘ JSON lines    (one pass)    └─ caveats: what the run does not prove
//! ```
//!
//! It shares no code with the rest of rollcall, the hash chain included: a judge must not repeat the mistakes of the accused.
//! It reads no clock, no network, and no file but the reader that it is given.
//!
//! # A history
//!
//! One JSON object a line, `event` first by convention. Times are µs of one clock; hashes and salts are lower-case hexadecimal;
//! names are any text. A key whose value is null may be left out, but for the salt and the hashes of a `dump`.
//! Keys that are not listed are ignored; an event that is not listed is an error.
//!
//! ```json
//! {"event":"write","op":"send","t_invoke":100,"t_return":900,"conn":"c1","node":"a","room":"general","user":"ann","device":"phone","n":1,"body_hash":"5f…","outcome":"ok","seq":2,"epoch":1}
//! {"event":"joined","t":50,"conn":"c2","room":"general","after":0,"head":0}
//! {"event":"push","t":950,"conn":"c2","room":"general","seq":2,"epoch":1,"body_hash":"5f…"}
//! {"event":"expired","t":60,"conn":"c3","room":"general","from":1,"to":4096}
//! {"event":"left","t":2000,"conn":"c2","room":"general"}
//! {"event":"faults_end","t":1000,"within_us":10000000}
//! {"event":"floor","room":"general","floor":4097,"hash_before":"9c…"}
//! {"event":"dump","room":"general","seq":2,"epoch":1,"owner":"6f1c…","kind":"message","user":"ann","device":"phone","n":1,"target":null,"created_at":1700000000000,"salt":"00…","content_hash":"77…","hash":"ab…","body_hash":"5f…"}
//! {"event":"note","text":"seed 7, node b killed"}
//! ```
//!
//! | event | when a producer writes it |
//! |---|---|
//! | `write` | once for each logical write (`op`: send, edit, redact, react), when its final answer is known or its client gives up; `t_invoke` is its first sending, however often it was tried again. `outcome`: `ok` with `seq` and, if known, the `epoch` of the owner that answered; `failed` only for a refusal that is final; everything else is `unknown`. `target`, if given, is compared |
//! | `joined` | a cursor was installed: a join, a resume, or a second join. `after` is the cursor that holds (the head, if the join named none), `head` what the node told |
//! | `push` | an entry reached a connection, each time |
//! | `expired` | a connection was told that a range is below the floor; its cursor moves to `to` |
//! | `left` | a connection left `room`, or ended (no `room`). A connection that is cut must be recorded as left, or it is expected to reach the head |
//! | `faults_end` | the last fault was healed. From then on, and from its join, and from when the head was first known, a joined connection has `within_us` to reach the head. The producer goes on observing at least that long, or until all have reached it |
//! | `floor` | before the dump of a room whose first entries were dropped on purpose: its first kept seq, and the hash of the entry before |
//! | `dump` | the final log of every room, an entry each, ascending. `created_at` is in ms since 1970. `kind`: message, edit, redact, react, member, room. `owner` names the activation, not the node |
//! | `note` | anything; ignored |
//!
//! **Order of lines**: free between connections, writes and dumps, so files may simply be joined. Fixed: what one connection saw
//! (joined, left, push, expired) stands in its order, and a room's dump ascends.
//!
//! **Bodies.** `body_hash` is SHA-256 of the stored JSON text, unsalted. Null means that there is no body (and equals the hash of
//! the empty text, [`NO_BODY`]). In a dump, `salt` null and `body_hash` null together mean *erased*: then
//! - the chain is still recomputed, from the stated `content_hash`, which nobody can recompute any more;
//! - it counts as the content of any write of the same key, kind and target, and pushes of it may carry the old body or none,
//!   if a later redact entry names it (or, for an edit, any redact entry names the message that it edits). All pushes with a
//!   body must still agree, and agree with the `body_hash` of its write if that was recorded;
//! - without such a redact entry it counts as content that was lost.
//!
//! A push without a body of an entry that still has one in the dump is allowed only if such a redact entry exists. With the
//! optional key `body` in a dump event both hashes over the body are recomputed too.
//!
//! # Rules
//!
//! See [`Rule`]. A write is known by (room, user, device, n); entries without a device are the server's own, and no write is
//! compared with them. Several write events with the same key and content are attempts of one write: one acknowledgement
//! settles all. With other content they are writes of their own, of which at most one can be stored. A second copy of a write
//! breaks [`Rule::OneSeqPerWrite`], or [`Rule::UnknownAtMostOnce`] where an unknown outcome is all that is known of it.
//! An acknowledgement may carry a higher epoch than its entry (a later owner repeated the answer), never a lower one.
//! What lies below the floor is not judged. A run without unknown outcomes or without a second owner in some room is not
//! wrong but proves little: [`Caveat`].
//!
//! # Cost
//!
//! Memory grows with entries, writes and joined rooms, never with deliveries: of all pushes of an entry one 32-byte record is
//! kept, see [`Checker::footprint`]. Producers of many pushes register names once and use [`Checker::observe_push`], about ten
//! nanoseconds each (`cargo run --release -p rollcall-checker --example push_rate`):
//!
//! ```
//! use rollcall_checker::{Checker, JoinedEvent, PushRef, Rule};
//!
//! let mut checker = Checker::new();
//! let (conn, room) = (checker.conn("c1"), checker.room("general"));
//! checker.observe_joined(&JoinedEvent { t: 1, conn: "c1".into(), room: "general".into(), after: 0, head: 0 });
//! checker.observe_push(&PushRef { conn, room, seq: 2, epoch: 1, body_hash: [7; 32], t: 2 });
//!
//! let verdict = checker.finish();
//! let rules: Vec<Rule> = verdict.anomalies.iter().map(|anomaly| anomaly.rule).collect();
//! assert_eq!(rules, [Rule::PushesInOrder, Rule::PushesEqualLog]);
//! ```

mod anomaly;
pub mod chain;
mod checker;
mod connection;
mod event;
mod findings;
mod hex;
mod judge;
mod log;
mod names;
mod reader;
mod record;
mod rule;
mod seen;
mod verdict;
mod write_record;

pub use anomaly::{Anomaly, Evidence, KeptRecord};
pub use chain::NO_BODY;
pub use checker::Checker;
pub use connection::PushRef;
pub use event::{
    DumpEvent, Event, ExpiredEvent, FaultsEndEvent, FloorEvent, JoinedEvent, Kind, LeftEvent, NoteEvent, Op, Outcome,
    PushEvent, WriteEvent,
};
pub use names::{ConnIx, RoomIx};
pub use reader::{ReadError, check_reader};
pub use record::Footprint;
pub use rule::Rule;
pub use verdict::{Caveat, Summary, Verdict};
