//! What a room costs besides its log: `cargo bench --bench room`.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rollcall_actors::ports::Fence;
use rollcall_actors::room::{Effect, Input, Rights, RoomCore, RoomState, Submit};
use rollcall_actors::shell::{Doorbell, Inbox, Pulled, RingLimits, Tail};
use rollcall_protocol::{Body, DeviceId, Entry, Epoch, Format, OwnerId, RoomId, Salt, Seq, UserId, WriteOp};

const FENCE: Fence = Fence { epoch: Epoch::new(1), owner: OwnerId(1) };

/// A room with devices that each write in turn.
struct Writers {
    core: RoomCore<u64>,
    devices: Vec<(UserId, DeviceId, u64)>,
    body: Body,
    effects: Vec<Effect<u64>>,
}

impl Writers {
    fn new(devices: usize) -> Self {
        let room = RoomId::parse("general").expect("a room name");
        let device = |number: usize| {
            let user = UserId::parse(&format!("user-{number}")).expect("a user name");
            (user, DeviceId::parse("device").expect("a device name"), 0)
        };
        Self {
            core: RoomCore::new(FENCE, RoomState::empty(&room), Seq::ZERO),
            devices: (0..devices).map(device).collect(),
            body: Body::text(&"x".repeat(128)).expect("the text is short"),
            effects: Vec::new(),
        }
    }

    /// Has `count` writes numbered and committed, the first of them in a batch of its own, and returns the batches.
    fn write(&mut self, count: usize) -> Vec<Arc<[Entry]>> {
        for turn in 0..count {
            let at = turn % self.devices.len();
            let (user, device, n) = &mut self.devices[at];
            *n += 1;
            let submit = Submit {
                reply: *n,
                sender: user.clone(),
                device: device.clone(),
                n: *n,
                prev: *n - 1,
                since: Seq::ZERO,
                op: WriteOp::Send,
                target: None,
                body: Some(self.body.clone()),
                salt: Salt([0; 16]),
                rights: Rights { read: true, write: true, moderate: false },
            };
            self.core.handle(1_700_000_000_000, Input::Submit(submit), &mut self.effects);
        }
        let mut delivered = Vec::new();
        while self.core.pending() > 0 {
            self.core.handle(0, Input::Committed, &mut self.effects);
            for effect in self.effects.drain(..) {
                if let Effect::Deliver(entries) = effect {
                    delivered.push(entries);
                }
            }
        }
        delivered
    }
}

fn core(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("core");
    for devices in [1, 100, 10_000] {
        let mut writers = Writers::new(devices);
        group.throughput(Throughput::Elements(64));
        group.bench_function(format!("64 writes of {devices} devices"), |bencher| {
            bencher.iter(|| black_box(writers.write(64)));
        });
    }
    group.finish();
}

fn fan_out(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fan-out");
    let room = RoomId::parse("general").expect("a room name");
    for batch in [1, 64] {
        let mut writers = Writers::new(64);
        let tail = Tail::new(room.clone(), RingLimits { entries_max: 256, bytes_max: 1024 * 1024 });
        let inboxes: Vec<_> = (0..1_000).map(|_| Inbox::new()).collect();
        let bells: Vec<_> = inboxes.iter().map(|inbox| Doorbell::new(room.clone(), Arc::clone(inbox))).collect();
        bells.iter().for_each(|bell| {
            tail.hang_up(Arc::clone(bell));
        });
        let mut cursor = Seq::ZERO;
        tail.begin(cursor);
        writers.write(batch).into_iter().for_each(|entries| tail.push(entries));
        group.throughput(Throughput::Elements(1_000 * batch as u64));
        group.bench_function(format!("{batch} entries to 1,000 readers"), |bencher| {
            bencher.iter(|| {
                writers.write(batch).into_iter().for_each(|entries| tail.push(entries));
                for (inbox, bell) in inboxes.iter().zip(&bells) {
                    black_box(inbox.take());
                    bell.lower();
                    if let Pulled::Frames(frames) = tail.pull(cursor, 64, 64 * 1024) {
                        for frame in frames {
                            black_box(frame.bytes_after(cursor, Format::Json));
                        }
                    }
                }
                cursor = tail.head();
            });
        });
    }
    group.finish();
}

criterion_group!(room, core, fan_out);
criterion_main!(room);
