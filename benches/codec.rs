//! What encoding and decoding cost: `cargo bench --bench codec`.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use rollcall_protocol::{
    Body, Command, DeviceId, Entries, Entry, Epoch, Format, Kind, Op, OutgoingPush, OwnerId, RoomId, Salt, Seq, UserId,
    Write, WriteOp, hash,
};

/// A chat message of about 128 bytes.
const TEXT: &str = "the quick brown fox jumps over the lazy dog, and the dog, which was not that lazy after all, looks after it for a while";

fn entries(count: u64) -> Vec<Entry> {
    let body = Body::text(TEXT).expect("the text is short");
    let salt = Salt([7; 16]);
    let content_hash = hash::content(&salt, Some(body.as_str()));
    let entry = |seq| Entry {
        seq: Seq::new(seq),
        kind: Kind::Message,
        created_at_ms: 1_700_000_000_000,
        sender: UserId::parse("guest-0123456789abcdef").expect("a user name"),
        device: Some(DeviceId::parse("0123456789abcdef").expect("a device name")),
        n: seq,
        target: None,
        body: Some(body.clone()),
        salt: Some(salt),
        content_hash,
        hash: content_hash,
        epoch: Epoch::new(1),
        owner: OwnerId(1),
    };
    (1..=count).map(entry).collect()
}

fn send() -> Command<Body> {
    let write = Write {
        room: RoomId::parse("general").expect("a room name"),
        n: 17,
        prev: None,
        since: None,
        target: None,
        body: Some(Body::text(TEXT).expect("the text is short")),
    };
    Command { id: Some(17), op: Op::Write(WriteOp::Send, write) }
}

fn benches(criterion: &mut Criterion) {
    let room = RoomId::parse("general").expect("a room name");
    for format in Format::ALL {
        let list = entries(64);
        let mut group = criterion.benchmark_group(format!("{format:?}"));
        group.throughput(Throughput::Elements(64));
        group.bench_function("encode a frame of 64 entries", |bencher| {
            bencher.iter(|| {
                let frame: OutgoingPush<'_> = OutgoingPush::Entries(Entries { room: &room, list: &list });
                black_box(format.encode(&frame))
            });
        });
        let frame: OutgoingPush<'_> = OutgoingPush::Entries(Entries { room: &room, list: &list });
        let bytes = format.encode(&frame);
        group.bench_function("decode a frame of 64 entries", |bencher| {
            bencher.iter(|| black_box(format.decode(&bytes)));
        });
        group.throughput(Throughput::Elements(1));
        let bytes = format.encode_command(&send());
        group.bench_function("decode and check a send", |bencher| {
            bencher.iter_batched(
                || (),
                |()| {
                    let command = format.decode_command(&bytes).expect("a command");
                    let Op::Write(_, write) = command.op else { panic!("a send") };
                    black_box(write.body.expect("a body").check())
                },
                BatchSize::SmallInput,
            );
        });
        group.finish();
    }
}

criterion_group!(codec, benches);
criterion_main!(codec);
