//! `rollcall tail`.

use rollcall_client::{Client, Cursor, JoinFrom, RoomEvent, State};
use rollcall_protocol::{RoomId, Seq};
use serde_json::json;

use super::args::TailArguments;
use super::connect::{connect, refused, stopped};
use super::failure::{Failure, Kind};
use super::history::{page_entries, read_backward};
use super::output;
use super::render::{EntryLine, entry};

/// Prints what is said in a room as it comes, until it is interrupted.
pub async fn tail(arguments: &TailArguments) -> Result<(), Failure> {
    let TailArguments { room, after, last, json, server } = arguments;
    let printer = Printer { room, json: *json };
    let client = connect(server).await?;
    let from = match after {
        Some(after) => Cursor { seq: *after, hash: None },
        None => print_latest(&client, *last, &printer).await?,
    };
    let mut states = client.state_events();
    let (_writer, mut events) = client.join(room.as_str(), JoinFrom::Cursor(from)).await?.split();
    let mut is_away = false;
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(event) => printer.print(&event)?,
                None => return Err(ended(&client)),
            },
            Some(state) = states.next() => match state {
                State::Reconnecting { in_ms, .. } => {
                    is_away = true;
                    eprintln!("rollcall: the connection is lost; trying again in {:.1} s", in_ms as f64 / 1000.0);
                }
                State::Connected { .. } if std::mem::take(&mut is_away) => eprintln!("rollcall: connected again"),
                _ => {}
            },
        }
    }
}

/// Prints the latest entries and returns the place after them.
async fn print_latest(client: &Client, count: u64, printer: &Printer<'_>) -> Result<Cursor, Failure> {
    let pages = client.history(printer.room.as_str())?.page_entries(page_entries(count)).latest();
    let past = read_backward(pages, count).await?;
    past.entries.iter().try_for_each(|frame| printer.print_entry(frame))?;
    Ok(past.end.unwrap_or(Cursor { seq: Seq::ZERO, hash: None }))
}

/// Why no event follows.
fn ended(client: &Client) -> Failure {
    match client.state() {
        State::Stopped { error } => stopped(&error),
        _ => Failure::new(Kind::Unavailable, "the room was left"),
    }
}

struct Printer<'a> {
    room: &'a RoomId,
    json: bool,
}

impl Printer<'_> {
    fn print(&self, event: &RoomEvent) -> Result<(), Failure> {
        match event {
            RoomEvent::Entries(batch) => batch.entries.iter().try_for_each(|frame| self.print_entry(frame)),
            RoomEvent::Joined { after, joined } if self.json => output::json(&json!({
                "event": "joined", "room": self.room, "after": after, "head": joined.head, "epoch": joined.epoch,
            })),
            RoomEvent::Signal(signal) if self.json => {
                output::json(&json!({"event": "signal", "room": self.room, "user": signal.user, "kind": signal.kind}))
            }
            RoomEvent::Expired { from, to } if self.json => {
                output::json(&json!({"event": "expired", "room": self.room, "from": from, "to": to}))
            }
            RoomEvent::Expired { from, to } => output::line(&format!("(the entries #{from} to #{to} are expired)")),
            RoomEvent::Diverged { at } => {
                let text =
                    format!("the room is another one now: #{} is not what it was; start again to read it", at.seq);
                Err(Failure::new(Kind::Finding, text))
            }
            RoomEvent::Refused(frame) => Err(refused(frame)),
            RoomEvent::Joined { .. } | RoomEvent::Signal(_) | RoomEvent::Recovered { .. } => Ok(()),
        }
    }

    fn print_entry(&self, frame: &rollcall_client::EntryFrame) -> Result<(), Failure> {
        if self.json { output::json(&EntryLine::new(self.room, frame)) } else { output::line(&entry(frame)) }
    }
}
