"""Damage to a stopped server's journal, and the check that exactly this is reported and lost.

    flip     one bit of a record of any segment
    cut      the newest segment ends at a random place
    cut-old  an older segment does

What a segment that is not the newest lost is always known, since the next one says how far it went. Of the newest one the
log itself only knows what a later group of records proves (the durable mark): a bit behind that is a torn tail, of which
the rest is cut off with it, and a file that ends early is one that had not come farther.
"""
import os

from crashkit.journal import FIRST_RECORD, Snapshot, path
from harness import Failure, expect_that

HEADER_BYTES = 112
KINDS = ("delivery", "plan", "outcome", "probe")


class Harm:
    """What was done, which records that took, and what is reported."""

    def __init__(self, text, taken, after, cut_off):
        self.text, self.taken, self.after, self.cut_off = text, taken, after, cut_off
        self.ids = {r.id for r in taken if r.id}
        plans = {int(r.text.partition(":")[0].split("#")[1]) for r in taken if r.kind == "plan"}
        self.replanned = plans              # sequences

    def line(self):
        return "%s: %d records taken%s, %d places reported" % (
            self.text, len(self.taken), " (%d with a torn tail)" % self.cut_off if self.cut_off else "",
            len(self.after.damage))


def inflict(dice, grapnel, data, before):
    """Damages the journal; None where there is nothing to damage. Failure when what is reported is something else."""
    segments = before.segments()
    if not segments:
        return None
    how = dice.choice(("flip", "flip", "flip", "cut", "cut-old"))
    if how == "flip":
        return flip(dice, grapnel, data, before, segments)
    segment = segments[-1] if how == "cut" or len(segments) == 1 else dice.choice(segments[:-1])
    records = [r for r in before.records if r.segment == segment]
    if any(r.kind == "keep" for r in records):
        return None                         # a list of what another segment owes: what goes with it is not in this one
    at = dice.randrange(FIRST_RECORD, records[-1].offset + HEADER_BYTES)
    os.truncate(path(data, segment), at)
    taken = [r for r in records if r.end > at or r is records[-1]]
    after = Snapshot(grapnel, data)
    new = missing(after) - missing(before)
    if segment == segments[-1]:
        expect_that(not new, "the newest segment was cut at %d, and %r are reported" % (at, sorted(new)[:9]))
    else:
        same(new, {r.sequence for r in taken if "copied" not in r.text}, "%s was cut at %d" % (segment, at), after)
    compare(before, after, taken)
    return Harm("%s of %s at %d" % (how, segment, at), taken, after, 0)


def flip(dice, grapnel, data, before, segments):
    candidates = [r for r in before.records if r.kind in KINDS]
    record = dice.choice(candidates)
    span = HEADER_BYTES
    in_damage = any(d.segment == record.segment and d.offset < record.end and d.offset + d.length > record.offset
                    for d in before.damage)
    if not in_damage and any(r.segment == record.segment and r.offset == record.end for r in before.records):
        span = record.end - record.offset
    at, bit = record.offset + dice.randrange(span), dice.randrange(8)
    with open(path(data, record.segment), "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 1 << bit]))
    after = Snapshot(grapnel, data)
    new = missing(after) - missing(before)
    taken, text = [record], "flip of bit %d at %d of %s (%s #%d)" % (bit, at, record.segment, record.kind, record.sequence)
    behind = [r for r in before.records if r.segment == record.segment and r.offset > record.offset]
    kept = {(r.segment, r.offset) for r in after.records}
    if not new and record.kind in ("plan", "outcome") and (record.segment, record.offset) in kept:
        # What it says counts; what is told beside that is gone. The newest segment may not know how far it went.
        told = any(d.is_details and d.segment == record.segment and d.offset == record.offset for d in after.damage)
        expect_that(at >= record.offset + HEADER_BYTES and (told or record.segment == segments[-1]),
                    "%s is not reported:\n%s" % (text, report(after)))
        compare(before, after, [])
        return Harm(text + ", details only", [], after, 0)
    if not new and "copied" not in record.text:
        # A torn tail: only in the newest segment, and then nothing behind it counts.
        expect_that(record.segment == segments[-1], "%s is not reported:\n%s" % (text, report(after)))
        expect_that(not any((r.segment, r.offset) in kept for r in behind), "%s: a torn tail with records behind" % text)
        expect_that(after.torn > 0, "%s: neither damage nor a torn tail:\n%s" % (text, report(after)))
        taken += behind
    else:
        if "copied" not in record.text:
            same(new, {record.sequence}, text, after)
        expect_that(len(after.damage) >= len(before.damage), "%s: fewer places than before" % text)
    compare(before, after, taken)
    return Harm(text, taken, after, len(taken) - 1)


def missing(snapshot):
    return {sequence for damage in snapshot.damage for sequence in damage.missing}


def same(found, wanted, text, after):
    if found != wanted:
        raise Failure("%s: reported as lost are %r and not %r\n%s" % (
            text, sorted(found)[:9], sorted(wanted)[:9], report(after)))


def report(snapshot):
    return "\n".join(line for line in snapshot.text.splitlines() if line.startswith(("damage", "  torn"))
                     or "segments," in line) + snapshot.errors


def compare(before, after, taken):
    """All records but those that were taken are still there, and no new ones."""
    key = lambda r: (r.segment, r.offset, r.sequence, r.kind)
    wanted = {key(r) for r in before.records} - {key(r) for r in taken}
    found = {key(r) for r in after.records}
    if wanted != found:
        raise Failure("records that were not touched are gone: %r; records that were not there: %r\n%s" % (
            sorted(wanted - found)[:5], sorted(found - wanted)[:5], report(after)))
