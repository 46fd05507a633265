#!/usr/bin/env python3
"""Writes the histories of this folder: `python3 tests/checker/histories/make.py`.

A history `RULE.CASE.jsonl` breaks that rule and no other; `clean.CASE.jsonl` breaks none. This script computes the hash chain
on its own, so the checker's chain is held against a second implementation. A change shows in review.
"""

import hashlib
import json
import pathlib
import struct

FOLDER = pathlib.Path(__file__).parent
KINDS = {"message": 1, "edit": 2, "redact": 3, "react": 4, "member": 5, "room": 6}
OPS = {"send": "message", "edit": "edit", "redact": "redact", "react": "react"}
ROOM = "general"


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def body_of(text):
    return json.dumps({"text": text}, separators=(",", ":"))


def body_hash(body):
    return None if body is None else sha(body.encode()).hex()


def write(device, n, text, t, outcome="ok", seq=None, epoch=None, op="send", target=None, user=None, room=ROOM):
    event = {"event": "write", "op": op, "t_invoke": t[0], "t_return": t[1], "conn": f"{device}-1", "node": "node-a",
             "room": room, "user": user or f"user-of-{device}", "device": device, "n": n, "target": target,
             "body_hash": body_hash(None if text is None else body_of(text)), "outcome": outcome, "seq": seq,
             "epoch": epoch if epoch or seq is None else 1}
    return {key: value for key, value in event.items() if value is not None or key == "body_hash"}


def joined(conn, after, head, t=1, room=ROOM):
    return {"event": "joined", "t": t, "conn": conn, "room": room, "after": after, "head": head}


def push(conn, seq, text, t=500, epoch=1, room=ROOM):
    return {"event": "push", "t": t, "conn": conn, "room": room, "seq": seq, "epoch": epoch,
            "body_hash": body_hash(None if text is None else body_of(text))}


class Log:
    """A room's log as it is dumped; every entry is a dict that a history may spoil afterwards."""

    def __init__(self, room=ROOM, floor=1, hash_before=None):
        self.room, self.next_seq = room, floor
        self.last_hash = hash_before or sha(b"rollcall.v1\0", room.encode())
        self.events = []
        if floor > 1:
            self.events.append({"event": "floor", "room": room, "floor": floor, "hash_before": self.last_hash.hex()})

    def add(self, device, n, text, epoch=1, owner="owner-1", kind="message", target=None, user=None, erase=False,
            skip=0, show_body=False):
        seq = self.next_seq + skip
        self.next_seq = seq + 1
        user = user or (f"user-of-{device}" if device else None)
        salt = bytes([seq % 256]) * 16
        body = None if text is None else body_of(text)
        created_at = 1_700_000_000_000 + seq
        content_hash = sha(salt, (body or "").encode())
        names = b"".join(struct.pack(">I", len(name)) + name for name in ((user or "").encode(), (device or "").encode()))
        self.last_hash = sha(self.last_hash, struct.pack(">QBqQQ", seq, KINDS[kind], created_at, n, target or 0), names,
                             content_hash)
        entry = {"event": "dump", "room": self.room, "seq": seq, "epoch": epoch, "owner": owner, "kind": kind,
                 "user": user, "device": device, "n": n, "target": target, "created_at": created_at,
                 "salt": None if erase else salt.hex(), "content_hash": content_hash.hex(), "hash": self.last_hash.hex(),
                 "body_hash": None if erase else body_hash(body)}
        if show_body:
            entry["body"] = body
        self.events.append(entry)
        return self


def spoilt(log, place, **changes):
    log.events[place].update(changes)
    return log


HISTORIES = {}


def history(name, *parts):
    assert name not in HISTORIES, name
    HISTORIES[name] = [event for part in parts for event in (part if isinstance(part, list) else [part])]


def faults_end(t=1_000, within_us=1_000):
    return {"event": "faults_end", "t": t, "within_us": within_us}


def left(conn, t=600, room=None):
    return {"event": "left", "t": t, "conn": conn, **({"room": room} if room else {})}


def one_message():
    return Log().add("phone", 1, "a")


def two_messages(**second):
    return Log().add("phone", 1, "a").add("phone", 2, "b", **second)


def clean():
    log = (Log().add(None, 0, "settings", kind="room", user="user-of-phone", show_body=True)
           .add("phone", 1, "a", show_body=True).add("laptop", 1, "b")
           .add("phone", 2, "a, corrected", kind="edit", target=2, epoch=3, owner="owner-2")
           .add("laptop", 2, None, kind="redact", target=3, epoch=3, owner="owner-2")
           .add("laptop", 3, "+1", kind="react", target=2, epoch=4, owner="owner-3")
           .add(None, 0, "joins", kind="member", user="user-of-laptop", epoch=4, owner="owner-3"))
    # The redaction took salt and body of seq 3; some had seen the body before, one comes after.
    spoilt(log, 2, salt=None, body_hash=None)
    texts = {1: "settings", 2: "a", 3: "b", 4: "a, corrected", 5: None, 6: "+1", 7: "joins"}
    epochs = {1: 1, 2: 1, 3: 1, 4: 3, 5: 3, 6: 4, 7: 4}

    def shown(conn, first, last, t, erased=False):
        return [push(conn, seq, None if erased and seq == 3 else texts[seq], t + seq, epochs[seq])
                for seq in range(first, last + 1)]

    history("clean.everything",
            {"event": "note", "text": "an owner is replaced twice, an entry is redacted, a connection is cut and resumes"},
            write("phone", 1, "a", (10, 40), seq=2), write("laptop", 1, "b", (20, 50), seq=3),
            write("phone", 2, "a, corrected", (45, 90), "unknown", op="edit", target=2),
            write("laptop", 2, None, (60, 95), seq=5, epoch=4, op="redact", target=3),
            write("laptop", 3, "+1", (96, 120), seq=6, epoch=4, op="react", target=2),
            write("phone", 3, "never", (97, 150), "unknown"), write("phone", 4, "refused", (98, 99), "failed"),
            joined("c1", 0, 0), shown("c1", 1, 4, 100), left("c1", 200), joined("c1", 4, 6, 300), shown("c1", 5, 7, 310),
            joined("c2", 2, 7, 400), shown("c2", 3, 7, 400, erased=True),
            joined("c3", 9, 7, 400),
            joined("c4", 0, 0), shown("c4", 1, 2, 100), joined("c4", 0, 7, 500), shown("c4", 1, 7, 500),
            joined("c5", 0, 0), shown("c5", 1, 3, 100), left("c5", 600, ROOM),
            faults_end(), log.events)
    history("clean.unwritten_room", joined("c1", 0, 0), faults_end())
    history("clean.above_the_floor", write("phone", 1, "old", (10, 20), seq=1), write("phone", 9, "a", (30, 40), seq=9),
            joined("c1", 0, 9), {"event": "expired", "t": 50, "conn": "c1", "room": ROOM, "from": 1, "to": 8},
            push("c1", 9, "a"), faults_end(),
            Log(floor=9, hash_before=bytes(range(32))).add("phone", 9, "a").events)
    history("clean.conflict", write("phone", 1, "a", (10, 20), seq=1), write("phone", 1, "b", (30, 40), "failed"),
            one_message().events)
    history("clean.attempts", write("phone", 1, "a", (10, 20), "unknown"), write("laptop", 1, "b", (25, 30), seq=2),
            write("phone", 1, "a", (35, 40), seq=1, epoch=2), write("phone", 1, "a", (45, 50), "failed"),
            Log().add("phone", 1, "a").add("laptop", 1, "b").events)
    history("clean.two_rooms", write("phone", 1, "a", (10, 20), seq=1), write("phone", 1, "a", (30, 40), seq=1, room="other"),
            one_message().events, Log("other").add("phone", 1, "a").events)
    history("clean.unrecorded_devices", Log().add("phone", 1, "a").add("laptop", 1, "b").add("phone", 5, "c").events)
    history("clean.server_entries_of_a_device", Log().add("phone", 0, "a", kind="room").add("phone", 0, "b", kind="member").events)
    redacted = Log().add("phone", 1, "a", erase=True).add("laptop", 1, None, kind="redact", target=1).events
    history("clean.unrecorded_and_redacted", joined("c1", 0, 0), push("c1", 1, "a"), redacted)
    history("clean.conflict_and_redaction", write("phone", 1, "a", (10, 20), seq=1),
            write("phone", 1, "b", (30, 40), "failed"), redacted)
    history("clean.redacted_but_not_yet_erased", joined("c1", 0, 0), push("c1", 1, None), push("c1", 2, None),
            Log().add("phone", 1, "a").add("laptop", 1, None, kind="redact", target=1).events)
    history("clean.ack_meets_invoke", write("laptop", 1, "b", (10, 30), seq=2), write("phone", 1, "a", (30, 40), seq=1),
            Log().add("phone", 1, "a").add("laptop", 1, "b").events)


def acked_is_stored():
    acked = write("phone", 1, "a", (10, 20), seq=1)
    history("acked_is_stored.lost", acked)
    history("acked_is_stored.lost_tail", acked, write("phone", 2, "b", (10, 20), seq=2), one_message().events)
    history("acked_is_stored.other_seq", write("phone", 1, "a", (10, 20), seq=2),
            Log().add("phone", 1, "a").add("laptop", 1, "b").events)
    history("acked_is_stored.overwritten", acked, Log().add("laptop", 1, "b").events)
    history("acked_is_stored.other_body", acked, Log().add("phone", 1, "b").events)
    history("acked_is_stored.other_kind", write("phone", 1, "a", (10, 20), seq=1, op="react"), one_message().events)
    history("acked_is_stored.other_target", write("phone", 2, "b", (10, 20), seq=2, op="edit", target=7),
            two_messages(kind="edit", target=1).events)
    history("acked_is_stored.other_user", write("phone", 1, "a", (10, 20), seq=1, user="eve"), one_message().events)
    history("acked_is_stored.twice_with_different_content", acked, write("phone", 1, "b", (10, 20), seq=1),
            one_message().events)
    history("acked_is_stored.at_two_seqs", acked, write("phone", 1, "a", (30, 40), seq=2),
            Log().add("phone", 1, "a").add("laptop", 1, "b").events)
    history("acked_is_stored.by_an_older_owner", acked,
            Log().add("phone", 1, "a", epoch=2).events)
    history("acked_is_stored.without_seq", write("phone", 1, "a", (10, 20)), one_message().events)
    history("acked_is_stored.erased_without_redaction", acked, Log().add("phone", 1, "a", erase=True).events)
    history("acked_is_stored.erased_with_the_message_it_is_about", write("phone", 1, "+1", (10, 20), seq=2, op="react", target=1),
            Log().add("laptop", 1, "a", erase=True).add("phone", 1, "+1", kind="react", target=1, erase=True)
            .add("laptop", 2, None, kind="redact", target=1).events)
    history("acked_is_stored.erased_by_an_earlier_redaction", write("phone", 1, "a", (10, 20), seq=2),
            Log().add("laptop", 1, None, kind="redact", target=2).add("phone", 1, "a", erase=True).events)
    history("acked_is_stored.other_body_and_an_unknown", acked, write("phone", 1, "b", (10, 20), "unknown"),
            Log().add("phone", 1, "c").events)
    history("acked_is_stored.refused_once_and_lost", write("phone", 1, "a", (10, 20), "failed"),
            write("phone", 1, "a", (30, 40), seq=1))


def failed_is_absent():
    failed = write("phone", 1, "a", (10, 20), "failed")
    history("failed_is_absent.stored", failed, one_message().events)
    history("failed_is_absent.stored_and_redacted", failed,
            Log().add("phone", 1, "a", erase=True).add("laptop", 1, None, kind="redact", target=1).events)
    other = write("phone", 1, "b", (30, 40), "unknown")
    history("failed_is_absent.though_another_body_is_unknown", failed, other, one_message().events)
    other = write("phone", 1, "a", (30, 40), "unknown", op="react")
    history("failed_is_absent.though_another_op_is_unknown", failed, other, one_message().events)
    edits = [write("phone", 1, "a", (t, t + 1), outcome, op="edit", target=target)
             for t, outcome, target in ((10, "failed", 1), (20, "unknown", 2))]
    history("failed_is_absent.though_another_target_is_unknown", edits,
            Log().add("laptop", 1, "x").add("laptop", 2, "y").add("phone", 1, "a", kind="edit", target=1).events)


def unknown_at_most_once():
    unknown = write("phone", 1, "a", (10, 20), "unknown")
    history("unknown_at_most_once.twice", unknown, Log().add("phone", 1, "a").add("phone", 1, "a").events)
    history("unknown_at_most_once.other_content", unknown, Log().add("phone", 1, "b").events)


def stored_without_gap():
    history("stored_without_gap.hole", two_messages(skip=1).events)
    history("stored_without_gap.no_beginning", Log().add("phone", 1, "a", skip=1).events)
    history("stored_without_gap.above_the_floor", Log(floor=5, hash_before=bytes(32)).add("phone", 1, "a", skip=2).events)
    history("stored_without_gap.twice", one_message().events, one_message().events)


def one_seq_per_write():
    acked = write("phone", 1, "a", (10, 20), seq=1)
    twice = Log().add("phone", 1, "a").add("laptop", 1, "b").add("phone", 1, "a")
    history("one_seq_per_write.acked", acked, twice.events)
    history("one_seq_per_write.unrecorded", twice.events)
    history("one_seq_per_write.other_content", acked, Log().add("phone", 1, "a").add("phone", 1, "b").events)
    history("one_seq_per_write.acked_by_a_retry", write("phone", 1, "a", (10, 20), "unknown"),
            write("phone", 1, "a", (30, 40), seq=1), twice.events)
    history("one_seq_per_write.after_the_next", Log().add("phone", 1, "a").add("phone", 2, "b").add("phone", 1, "a").events)


def pushes_in_order():
    log = Log().add("phone", 1, "a").add("phone", 2, "b").add("phone", 3, "c").events
    one, two, three = (push("c1", seq, text) for seq, text in ((1, "a"), (2, "b"), (3, "c")))
    history("pushes_in_order.hole", joined("c1", 0, 0), one, three, log)
    history("pushes_in_order.twice", joined("c1", 0, 0), one, one, two, three, log)
    history("pushes_in_order.swapped", joined("c1", 0, 0), two, one, three, log)
    history("pushes_in_order.not_after_the_cursor", joined("c1", 1, 3), one, two, three, log)
    history("pushes_in_order.not_joined", one, log)
    history("pushes_in_order.after_leaving", joined("c1", 0, 0), one, left("c1"), two, log)
    history("pushes_in_order.hole_called_expired", joined("c1", 0, 0),
            {"event": "expired", "t": 50, "conn": "c1", "room": ROOM, "from": 2, "to": 3}, push("c1", 4, "d"),
            Log(floor=4, hash_before=bytes(32)).add("phone", 4, "d").events)
    history("pushes_in_order.expired_backwards", joined("c1", 0, 0),
            {"event": "expired", "t": 50, "conn": "c1", "room": ROOM, "from": 1, "to": 0},
            Log(floor=4, hash_before=bytes(32)).add("phone", 4, "d").events)


def pushes_equal_log():
    log = one_message().events
    join = joined("c1", 0, 0)
    history("pushes_equal_log.other_body", join, push("c1", 1, "b"), log)
    history("pushes_equal_log.other_body_to_another", join, push("c1", 1, "a"), joined("c2", 0, 0), push("c2", 1, "b"), log)
    history("pushes_equal_log.after_the_dump", log, join, push("c1", 1, "b"))
    history("pushes_equal_log.other_epoch", join, push("c1", 1, "a", epoch=2), log)
    history("pushes_equal_log.no_body", join, push("c1", 1, None), log)
    history("pushes_equal_log.never_stored", join, push("c1", 1, "a"), push("c1", 2, "b"), log)
    history("pushes_equal_log.head_never_stored", joined("c1", 1, 1), joined("c2", 1, 2), log)
    history("pushes_equal_log.erased_without_redaction", join, push("c1", 1, "a"),
            Log().add("phone", 1, "a", erase=True).events)
    redacted = Log().add("phone", 1, "a", erase=True).add("laptop", 1, None, kind="redact", target=1).events
    history("pushes_equal_log.other_body_before_the_redaction", write("phone", 1, "a", (10, 20), seq=1), join,
            push("c1", 1, "b"), push("c1", 2, None), redacted)
    history("pushes_equal_log.two_bodies_before_the_redaction", join, push("c1", 1, "a"), joined("c2", 0, 0),
            push("c2", 1, "b"), redacted)
    history("pushes_equal_log.called_expired_but_stored", join, joined("c2", 0, 0),
            {"event": "expired", "t": 50, "conn": "c1", "room": ROOM, "from": 1, "to": 2},
            {"event": "expired", "t": 50, "conn": "c2", "room": ROOM, "from": 1, "to": 3},
            Log(floor=3, hash_before=bytes(32)).add("phone", 3, "c").events)


def device_order():
    history("device_order.unacked", Log().add("phone", 2, "b").add("phone", 1, "a").events)
    history("device_order.concurrent_writes", write("phone", 1, "a", (10, 50), seq=3), write("phone", 2, "b", (11, 50), seq=1),
            Log().add("phone", 2, "b").add("laptop", 1, "x").add("phone", 1, "a").events)


def ack_before_invoke():
    log = Log().add("phone", 1, "a").add("laptop", 1, "b").events
    history("ack_before_invoke.acked", write("laptop", 1, "b", (10, 20), seq=2), write("phone", 1, "a", (30, 40), seq=1), log)
    history("ack_before_invoke.unknown", write("phone", 1, "a", (21, 40), "unknown"),
            write("laptop", 1, "b", (10, 20), seq=2), log)
    history("ack_before_invoke.acked_twice", write("laptop", 1, "b", (10, 20), seq=2), write("laptop", 1, "b", (11, 50), seq=2),
            write("phone", 1, "a", (30, 40), seq=1), log)
    history("ack_before_invoke.a_lower_seq_acked_between", write("tablet", 1, "c", (10, 20), seq=3),
            write("phone", 1, "a", (10, 25), seq=1), write("laptop", 1, "b", (30, 40), seq=2),
            Log().add("phone", 1, "a").add("laptop", 1, "b").add("tablet", 1, "c").events)


def epochs_never_fall():
    history("epochs_never_fall.stored", Log().add("phone", 1, "a", epoch=2, owner="owner-2").add("phone", 2, "b", epoch=1, owner="owner-1").events)
    history("epochs_never_fall.two_owners", two_messages(owner="owner-2").events)
    history("epochs_never_fall.pushed", joined("c1", 0, 0), push("c1", 1, "a", epoch=2), push("c1", 2, "b", epoch=1),
            Log(floor=3, hash_before=bytes(32)).add("phone", 3, "c", epoch=2).events)


def hash_chain():
    other = "00" * 32
    history("hash_chain.wrong_hash", spoilt(two_messages(), 0, hash=other).events[:1])
    history("hash_chain.other_content_hash", spoilt(one_message(), 0, content_hash=other).events)
    for field, value in (("kind", "react"), ("created_at", 5), ("user", "eve"), ("device", "laptop"), ("n", 4), ("target", 1)):
        history(f"hash_chain.other_{field}", spoilt(two_messages(), 1, **{field: value}).events)
    history("hash_chain.other_beginning", Log(hash_before=bytes(32)).add("phone", 1, "a").events)
    history("hash_chain.other_hash_before_the_floor",
            spoilt(Log(floor=5, hash_before=bytes(32)).add("phone", 1, "a"), 0, hash_before="11" * 32).events)
    history("hash_chain.other_body", spoilt(Log().add("phone", 1, "a", show_body=True), 0, body=body_of("b")).events)
    history("hash_chain.other_body_hash",
            spoilt(Log().add("phone", 1, "a", show_body=True), 0, body_hash=body_hash(body_of("b"))).events)
    history("hash_chain.other_salt", spoilt(Log().add("phone", 1, "a", show_body=True), 0, salt="00" * 16).events)
    history("hash_chain.other_salt_and_no_body", spoilt(Log().add("phone", 1, None, kind="redact"), 0, salt="00" * 16).events)
    history("hash_chain.no_salt", spoilt(one_message(), 0, salt=None).events)
    history("hash_chain.erased", spoilt(Log().add("phone", 1, "a", erase=True), 0, content_hash=other).events)


def reaches_head():
    log = one_message().events
    acked = write("phone", 1, "a", (10, 20), seq=1)
    history("reaches_head.never", acked, joined("c1", 0, 0), faults_end(), log)
    history("reaches_head.not_to_the_end", joined("c1", 0, 0), push("c1", 1, "a"), faults_end(), two_messages().events)
    history("reaches_head.late", acked, joined("c1", 0, 0), push("c1", 1, "a", t=2_001), faults_end(), log)
    history("reaches_head.late_after_the_join", acked, joined("c1", 0, 1, t=5_000), push("c1", 1, "a", t=6_001), faults_end(),
            log)
    history("reaches_head.late_after_the_ack", write("phone", 1, "a", (7_000, 7_100), seq=1), joined("c1", 0, 0),
            push("c1", 1, "a", t=8_101), faults_end(), log)
    history("reaches_head.late_after_the_first_push", joined("c1", 0, 0), joined("c2", 0, 0), push("c1", 1, "a", t=8_101),
            push("c2", 1, "a", t=7_100), faults_end(), log)
    history("clean.just_in_time", acked, joined("c1", 0, 0), push("c1", 1, "a", t=2_000), joined("c2", 0, 1, t=5_000),
            push("c2", 1, "a", t=6_000), faults_end(t=0, within_us=5), faults_end(), faults_end(t=0, within_us=5), log)
    history("clean.just_in_time_after_the_ack", write("phone", 1, "a", (7_000, 7_100), seq=1), joined("c1", 0, 0),
            push("c1", 1, "a", t=8_100), faults_end(), log)
    history("reaches_head.late_after_an_unknown", write("phone", 1, "a", (7_000, 7_100), "unknown"), joined("c1", 0, 0),
            push("c1", 1, "a", t=8_101), faults_end(), log)
    history("reaches_head.late_to_hear_of_the_floor", joined("c1", 0, 0),
            {"event": "expired", "t": 2_001, "conn": "c1", "room": ROOM, "from": 1, "to": 2}, faults_end(),
            Log(floor=3, hash_before=bytes(32)).events)


for make in (clean, acked_is_stored, failed_is_absent, unknown_at_most_once, stored_without_gap, one_seq_per_write,
             pushes_in_order, pushes_equal_log, device_order, ack_before_invoke, epochs_never_fall, hash_chain, reaches_head):
    make()
for path in FOLDER.glob("*.jsonl"):
    path.unlink()
for name, events in HISTORIES.items():
    text = "".join(json.dumps(event, separators=(",", ":")) + "\n" for event in events)
    (FOLDER / f"{name}.jsonl").write_text(text)
