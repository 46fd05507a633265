//! Redaction: *once an append that holds a redact entry was answered `Committed`, no read returns the body or salt of its target
//! or of an edit of its target; an edit of a redacted target never shows a body.*

use rollcall_protocol::Entry;

use super::LogUnderTest;
use crate::scribe::{Scribe, assert_chained, read_all};

/// The numbers of the entries that show a body or a salt.
fn shown(entries: &[Entry]) -> Vec<u64> {
    let shows = |entry: &&Entry| entry.body.is_some() || entry.salt.is_some();
    entries.iter().filter(shows).map(|entry| entry.seq.get()).collect()
}

/// The target, and edits of it that were committed before, each in an append of its own.
pub async fn a_redaction_takes_its_target_and_its_edits(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let mut scribe = Scribe::activate(&*log, &under_test.room("room"), 1).await;
    scribe.commit_messages(&*log, 3).await;
    for (target, text) in [(2, "two"), (3, "three"), (2, "zwei")] {
        let edit = scribe.edit(target, text);
        scribe.commit(&*log, vec![edit]).await;
    }
    let redaction = scribe.redact(2);
    scribe.commit(&*log, vec![redaction]).await;
    assert_eq!(shown(&read_all(&*log, &scribe.room).await), [1, 3, 5, 7]);
    // Again, by another owner: nothing more to take, and nothing else is taken.
    let mut scribe = Scribe::activate(&*log, &under_test.room("room"), 2).await;
    let redaction = scribe.redact(2);
    scribe.commit(&*log, vec![redaction]).await;
    assert_eq!(shown(&read_all(&*log, &scribe.room).await), [1, 3, 5, 7, 8]);
}

/// An edit that is committed above the redaction of its target, in the next append and much later.
pub async fn an_edit_above_the_redaction_never_shows(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let mut scribe = Scribe::activate(&*log, &under_test.room("room"), 1).await;
    scribe.commit_messages(&*log, 2).await;
    let redaction = scribe.redact(1);
    let next_to_it = scribe.edit(1, "late");
    let appends = [scribe.append(vec![redaction]), scribe.append(vec![next_to_it])].map(|append| log.append(append));
    for append in appends {
        append.await;
    }
    scribe.commit_messages(&*log, 300).await;
    let late = vec![scribe.edit(1, "later"), scribe.edit(2, "fine")];
    scribe.commit(&*log, late).await;
    let entries = read_all(&*log, &scribe.room).await;
    let hidden = entries.iter().filter(|entry| entry.is_redacted()).map(|entry| entry.seq.get());
    assert_eq!(hidden.collect::<Vec<_>>(), [1, 4, 305]);
}

/// Target, edits and redaction in one append, in every order.
pub async fn redactions_within_one_append(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let mut scribe = Scribe::activate(&*log, &under_test.room("room"), 1).await;
    scribe.commit_messages(&*log, 1).await;
    let entries = vec![
        scribe.message("two"),
        scribe.edit(1, "below the redaction of 1"),
        scribe.edit(2, "below the redaction of 2"),
        scribe.redact(1),
        scribe.redact(2),
        scribe.edit(1, "above the redaction of 1"),
        scribe.edit(2, "above the redaction of 2"),
        scribe.message("nine"),
        scribe.edit(9, "fine"),
    ];
    assert_eq!(entries[7].seq.get(), 9);
    scribe.commit(&*log, entries).await;
    assert_eq!(shown(&read_all(&*log, &scribe.room).await), [5, 6, 9, 10]);
}

/// An edit is redacted alone.
pub async fn a_redacted_edit_leaves_its_target(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let mut scribe = Scribe::activate(&*log, &under_test.room("room"), 1).await;
    scribe.commit_messages(&*log, 1).await;
    let edits = vec![scribe.edit(1, "one"), scribe.edit(1, "uno")];
    scribe.commit(&*log, edits).await;
    let redaction = scribe.redact(2);
    scribe.commit(&*log, vec![redaction]).await;
    assert_eq!(shown(&read_all(&*log, &scribe.room).await), [1, 3, 4]);
    let redaction = scribe.redact(1);
    scribe.commit(&*log, vec![redaction]).await;
    assert_eq!(shown(&read_all(&*log, &scribe.room).await), [4, 5]);
}

/// What was redacted still proves the chain, and all else of it stays.
pub async fn redactions_keep_what_proves_the_chain(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let mut scribe = Scribe::activate(&*log, &under_test.room("room"), 1).await;
    let mut expected = scribe.commit_messages(&*log, 2).await;
    let more = vec![scribe.edit(1, "edited"), scribe.redact(1)];
    expected.extend(scribe.commit(&*log, more).await);
    expected[0].redact();
    expected[2].redact();
    let entries = read_all(&*log, &scribe.room).await;
    assert_eq!(entries, expected);
    assert_chained(&scribe.room, &entries);
}
