"""What `grapnel journal inspect` says of a stopped server's journal, as values."""
import os
import re
import subprocess

SEGMENT = re.compile(r"([0-9a-f]{16}\.\w+) (\d+) bytes(.*)")
RECORD = re.compile(r"  (\d+) #(\d+) \S+ (delivery|plan|outcome|probe|keep)\b(.*)")
VOID = re.compile(r"  (\d+) #(\d+) \w+ void")
TORN = re.compile(r"  torn tail of (\d+) bytes at (\d+)")
OUTCOME = re.compile(r"#(\d+)(?:\[(\d+)\])? (done|ignored|merged|dead|failed)")
DAMAGE = re.compile(r"damage: (\S+) offset (\d+) length (\d+) \(([a-z ]+)\)(?:: records? #(\d+)(?: to #(\d+))?)?")
FIRST_RECORD = 8192


class Record:
    def __init__(self, segment, offset, sequence, kind, text):
        self.segment, self.offset, self.sequence, self.kind, self.text = segment, offset, sequence, kind, text
        self.end = None
        match = re.search(r' id="([^"]*)"', text) if kind == "delivery" else None
        self.id = match[1] if match else None


class Damage:
    def __init__(self, match):
        self.segment, self.offset, self.length, self.kind = match[1], int(match[2]), int(match[3]), match[4]
        self.missing = range(int(match[5]), int(match[6] or match[5]) + 1) if match[5] else range(0)
        self.is_details = match.string[match.end():].startswith(": details of a plan or of outcomes")


class Snapshot:
    """Records, damage and what was done, of one data directory."""

    def __init__(self, grapnel, data):
        result = subprocess.run([grapnel, "journal", "inspect", "--data-dir", data], capture_output=True, text=True,
                                errors="replace", timeout=120)
        self.status, self.text, self.errors = result.returncode, result.stdout, result.stderr
        self.records, self.void, self.damage, self.sizes, self.kept = [], [], [], {}, []
        self.torn = 0
        segment = None
        for line in self.text.splitlines():
            if m := RECORD.match(line):
                record = Record(segment, int(m[1]), int(m[2]), m[3], m[4])
                (self.records if segment not in self.kept else []).append(record)
            elif m := VOID.match(line):
                self.void.append((segment, int(m[1])))
            elif m := TORN.match(line):
                self.torn += int(m[1])
            elif m := DAMAGE.match(line):
                self.damage.append(Damage(m))
            elif m := SEGMENT.match(line):
                segment = m[1]
                self.sizes[segment] = int(m[2])
                if "kept for what is owed" in m[3]:
                    self.kept.append(segment)
        following = {}
        for record in reversed(self.records):
            end = following.get(record.segment, self.sizes[record.segment])
            # What an earlier wound took stands between: it is not this one's.
            record.end = min([end] + [d.offset for d in self.damage
                                      if d.segment == record.segment and d.offset > record.offset])
            following[record.segment] = record.offset
        self.ids = {r.sequence: r.id for r in self.records if r.kind == "delivery"}

    def done(self):
        """{(delivery id, kind of action)} whose outcome is in the journal; final ones only."""
        plans, found = {}, set()
        for r in self.records:
            if r.kind == "plan":
                head, _, kinds = r.text.partition(":")
                plans[int(re.search(r"#(\d+)", head)[1])] = [k.strip() for k in kinds.split(",")]
        for r in self.records:
            if r.kind != "outcome":
                continue
            for sequence, index, outcome in OUTCOME.findall(r.text):
                kinds = plans.get(int(sequence), [])
                if outcome != "failed" and int(sequence) in self.ids:
                    found |= {(self.ids[int(sequence)], kind) for kind in
                              (kinds if index == "" else kinds[int(index):int(index) + 1])}
        return found

    def segments(self):
        """Segments with records, oldest first: [(name, end of the last record)]; the end of that one is not printed."""
        names = sorted({r.segment for r in self.records})
        return names


def path(data, segment):
    return os.path.join(data, "journal", segment)
