//! The end of every run: the whole log is fetched, and the history judged by it.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};

use anyhow::{Context as _, anyhow};
use futures_util::future::try_join_all;
use rollcall_checker::{Caveat, DumpEvent, FloorEvent, Kind as DumpKind, Verdict};
use rollcall_protocol::{EntryFrame, History as HistoryOp, HistoryPage, Kind, Op, RoomId, Seq, limits};

use crate::history::History;
use crate::link::Link;
use crate::payload::body_hash;
use crate::progress::Progress;
use crate::report::Report;
use crate::run::Run;

/// Connections that fetch the log, a room each at a time.
const READERS: u64 = 8;

/// Connections of readers are numbered from here on, above all others.
const READER_NUMBER_FIRST: u64 = 1 << 40;

/// What to do about a server that holds clients to its rates.
const LIFT_RATES: &str = "start that server with --set limits.commands_per_connection_per_s=0 --set \
                          limits.commands_per_user_per_s=0, or ask for a lower --rate";

/// The epoch of each entry, by room and number.
type Epochs = HashMap<(String, u64), u64>;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// No rule was broken.
    Clean,
    /// A rule was broken.
    Anomalies,
    /// No rule was broken, but the run was not what it should have been.
    Spoiled,
}

/// Fetches the log of all rooms of the run, and has the checker judge its history by it.
///
/// # Errors
/// Where the log cannot be fetched, or the record not be written.
pub async fn verdict_on(run: &Run) -> anyhow::Result<Verdict> {
    let epochs = fetch_log(run).await.context("failed to fetch the log")?;
    let epoch_of = |room: &str, seq: u64| epochs.get(&(room.to_owned(), seq)).copied().unwrap_or_default();
    run.history.borrow_mut().take_back(epoch_of);
    run.history.replace(History::begin(None)?).finish()
}

/// Fetches the log of all rooms of the run, and judges its history. Prints the anomalies with their events.
///
/// # Errors
/// Where the log cannot be fetched, or the record not be written.
pub async fn judge(run: &Run, report: &mut Report) -> anyhow::Result<Ending> {
    let verdict = verdict_on(run).await?;
    let complaints = run.complaints();
    let tally = &run.tally;

    report.unknown = Some(tally.unknown.get());
    report.unknown_stored = report.unknown.filter(|&unknown| unknown > 0).map(|_| tally.unknown_stored.get());
    report.refused = Some(tally.refused.get());
    report.retried = Some(tally.retried.get()).filter(|&retried| retried > 0);
    report.connections_lost = Some(tally.connections_lost.get()).filter(|&lost| lost > 0);
    report.judged_entries = verdict.summary.stored;
    report.judged_deliveries = verdict.summary.deliveries;
    report.judged_writes = verdict.summary.acked + verdict.summary.failed + verdict.summary.unknown;
    report.anomalies = verdict.anomalies_total() + complaints.len() as u64;
    report.notes.extend(caveats(&verdict, report.kills.is_some()));
    report.notes.extend(complaints);
    if report.anomalies > 0 {
        eprint!("{verdict}");
        return Ok(Ending::Anomalies);
    }
    let proves_nothing = report.kills.is_some() && tally.unknown.get() == 0;
    if proves_nothing {
        report.notes.push("no unknown outcome was resolved, so this run proves nothing".to_owned());
    }
    if tally.refused.get() > 0 {
        report.notes.push("writes were refused for good, which a load like this one gives no reason for".to_owned());
    }
    if tally.connections_lost.get() > 0 {
        report.notes.push("connections were lost, so the figures are not of the load that was asked for".to_owned());
    }
    if tally.rate_limited.get() > 0 {
        report
            .notes
            .push(format!("{} of them were closed for their rate (4005): {LIFT_RATES}", tally.rate_limited.get()));
    }
    let spoiled = proves_nothing || tally.refused.get() > 0 || tally.connections_lost.get() > 0;
    Ok(if spoiled { Ending::Spoiled } else { Ending::Clean })
}

/// What the run should have shown and did not. Without kills, nobody expects unknown outcomes or a second owner.
fn caveats(verdict: &Verdict, has_kills: bool) -> Vec<String> {
    let expected = |caveat: &&Caveat| match caveat {
        Caveat::NoUnknownOutcome | Caveat::NoFencedOwner => has_kills,
        Caveat::ConvergenceNotJudged => verdict.summary.deliveries > 0,
        Caveat::NoDump => true,
    };
    verdict.caveats.iter().filter(expected).map(ToString::to_string).collect()
}

/// Fetches the log of all rooms. Gives the epoch of each entry, where deliveries were kept back for it.
async fn fetch_log(run: &Run) -> anyhow::Result<Epochs> {
    let epochs = RefCell::new(Epochs::new());
    let rooms = RefCell::new(VecDeque::from(run.rooms()));
    let readers = READERS.min(rooms.borrow().len() as u64);
    let progress = Progress::begin("fetching the log", rooms.borrow().len() as u64);
    let read = async |number: u64| -> anyhow::Result<()> {
        let user = run.user(READER_NUMBER_FIRST + number);
        let (mut link, _) = Link::open(&run.endpoint, &user, "reader").await?;
        loop {
            // The borrow ends before the wait.
            let Some(room) = rooms.borrow_mut().pop_front() else { return Ok(()) };
            fetch_room(run, &mut link, &room, &epochs).await.with_context(|| format!("of the room {room}"))?;
            progress.advance(1);
        }
    };
    try_join_all((0..readers).map(read)).await?;
    Ok(epochs.into_inner())
}

async fn fetch_room(run: &Run, link: &mut Link, room: &RoomId, epochs: &RefCell<Epochs>) -> anyhow::Result<()> {
    let mut after = Seq::ZERO;
    loop {
        let mut history = HistoryOp::latest(room.clone());
        history.after = Some(after);
        history.limit = Some(limits::HISTORY_PAGE_ENTRIES_MAX as u64);
        history.evidence = true;
        let answer = link.ask(Op::History(history)).await?;
        let page = answer.history().ok_or_else(|| anyhow!("history was answered with something else"))?;
        let Some(last) = page.list.last().map(|entry| entry.seq) else { return Ok(()) };
        let head = page.head;
        if run.history.borrow().keeps_back() {
            let known = page
                .list
                .iter()
                .filter_map(|entry| Some(((room.as_str().to_owned(), entry.seq.get()), entry.epoch?.get())));
            epochs.borrow_mut().extend(known);
        }
        observe(run, room, page, after)?;
        after = last;
        if last >= head {
            return Ok(());
        }
    }
}

fn observe(run: &Run, room: &RoomId, page: HistoryPage, after: Seq) -> anyhow::Result<()> {
    let mut history = run.history.borrow_mut();
    let floor = page.floor.get();
    if after == Seq::ZERO && floor > 1 {
        let hash_before = page.hash_before.ok_or_else(|| anyhow!("no hash before the floor came with the evidence"))?;
        history.floor(FloorEvent { room: room.as_str().to_owned(), floor, hash_before: hash_before.0 });
    }
    for entry in page.list {
        history.dump(dump_of(room, &entry)?);
    }
    Ok(())
}

/// Tells an entry as the judge wants it. The body goes along, so that both hashes over it are computed anew.
fn dump_of(room: &RoomId, entry: &EntryFrame) -> anyhow::Result<DumpEvent> {
    let missing = |what: &str| anyhow!("entry {} came without its {what}, though evidence was asked for", entry.seq);
    let body = entry.body.as_ref().map(|body| body.as_str().to_owned());
    Ok(DumpEvent {
        room: room.as_str().to_owned(),
        seq: entry.seq.get(),
        epoch: entry.epoch.ok_or_else(|| missing("epoch"))?.get(),
        owner: entry.owner.clone().ok_or_else(|| missing("owner"))?,
        kind: kind_of(entry.kind),
        user: Some(entry.sender.as_str().to_owned()),
        device: entry.device.as_ref().map(|device| device.as_str().to_owned()),
        n: entry.n,
        target: entry.target.map(Seq::get),
        created_at: entry.created_at_ms,
        salt: entry.salt.map(|salt| salt.0),
        content_hash: entry.content_hash.ok_or_else(|| missing("content hash"))?.0,
        hash: entry.hash.ok_or_else(|| missing("hash"))?.0,
        body_hash: body.as_deref().map(body_hash),
        body,
    })
}

fn kind_of(kind: Kind) -> DumpKind {
    match kind {
        Kind::Message => DumpKind::Message,
        Kind::Edit => DumpKind::Edit,
        Kind::Redact => DumpKind::Redact,
        Kind::React => DumpKind::React,
        Kind::Member => DumpKind::Member,
        Kind::Room => DumpKind::Room,
    }
}
