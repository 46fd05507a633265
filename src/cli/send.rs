//! `rollcall send`.

use rollcall_client::{Client, JoinFrom};
use rollcall_protocol::{Ack, RoomId, Seq};
use serde::Serialize;

use super::args::SendArguments;
use super::connect::connect;
use super::failure::{Failure, Kind};
use super::output;

#[derive(Serialize)]
struct Sent<'a> {
    room: &'a RoomId,
    seq: Seq,
    duplicate: bool,
}

/// Sends a message and prints its number once it is durable.
pub async fn send(arguments: &SendArguments) -> Result<(), Failure> {
    let SendArguments { room, text, timeout, json, server } = arguments;
    let text = output::argument_or_input(text)?;
    let client = connect(server).await?;
    let sent = tokio::time::timeout(timeout.duration(), write(&client, room, &text)).await;
    let Ack { seq, duplicate } = sent.unwrap_or_else(|_| {
        let text = "gave up before the server answered. The message may be stored or not; what was sent is tried again by the \
                    next `rollcall send` to this room, and stored at most once";
        Err(Failure::new(Kind::Unavailable, text))
    })?;
    // The state is saved before the number is shown: who has seen it has a device that remembers it.
    client.close().await;
    if *json { output::json(&Sent { room, seq, duplicate }) } else { output::line(&seq.to_string()) }
}

async fn write(client: &Client, room: &RoomId, text: &str) -> Result<Ack, Failure> {
    if client.unanswered_rooms().contains(room) {
        eprintln!("rollcall: an earlier message to {room} was not answered; it is tried again first");
    }
    let (writer, events) = client.join(room.as_str(), JoinFrom::Head).await?.split();
    drop(events);
    Ok(writer.send_text(text).await?)
}
