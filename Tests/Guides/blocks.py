"""The blocks of a manual: commands (indented), manifests and settings (fenced as yaml), and what their comments ask for.

A comment in front of a block, on a line of its own, says what the block leads to; browsers do not show it:

    <!-- test: prints REGEX -->                    the output of the block's last command matches
    <!-- test: status N -->                        the exit status of the last command, 0 without it
    <!-- test: writes VERB PLURAL NAMESPACE/NAME -->   the API server is written to: patch, create, instantiate
    <!-- test: skip REASON -->                     the block cannot run here

An indented block whose first word is no command that is known here (a URL, a log line) is text.
"""
import re
import shlex

PROGRAMS = {"grapnel", ".build/release/grapnel", "kubectl", "curl", "openssl", "make", "git", "sudo", "tar", "helm", "podman",
            "docker", "printf", "tail", "watch", "oc"}
COMMENT = re.compile(r"\s*<!-- test: (\w+) ?(.*?) -->\s*")
WORDS = {"prints", "status", "writes", "skip"}


class Block:
    def __init__(self, kind, line, text, asks):
        self.kind, self.line, self.text, self.asks = kind, line, text, asks

    def wanted(self, word):
        return [value for w, value in self.asks if w == word]

    @property
    def title(self):
        return self.text.strip().splitlines()[0].strip()[:70]

    def commands(self):
        """Commands of the block. A line that ends in a backslash goes on, and so does an open quotation."""
        found, open_one = [], ""
        for line in re.sub(r"\\\n\s*", " ", self.text).splitlines():
            if not open_one and (not line.strip() or line.strip().startswith("#")):
                continue
            open_one += ("\n" if open_one else "") + line.strip()
            try:
                shlex.split(open_one)
            except ValueError:
                continue
            found.append(open_one)
            open_one = ""
        return found + ([open_one] if open_one else [])


def read(text):
    """All blocks, in order."""
    blocks, asks, lines, at = [], [], text.split("\n"), 0
    while at < len(lines):
        line = lines[at]
        comment = COMMENT.fullmatch(line)
        if comment:
            if comment[1] not in WORDS:
                raise ValueError("line %d: %r is no word for a test: %s" % (at + 1, comment[1], ", ".join(sorted(WORDS))))
            asks.append((comment[1], comment[2]))
            at += 1
        elif re.match(r"\s*```", line):
            indent, language, start = line[:len(line) - len(line.lstrip())], line.strip("` "), at + 1
            at = start
            while at < len(lines) and not lines[at].strip().startswith("```"):
                at += 1
            body = "\n".join(l[len(indent):] for l in lines[start:at]) + "\n"
            if language in ("yaml", "sh"):
                blocks.append(Block("yaml" if language == "yaml" else "commands", start + 1, body, asks))
            asks, at = [], at + 1
        elif re.match(r" {4,}\S", line) and (at == 0 or not lines[at - 1].strip()):
            start = at
            while at < len(lines) and (re.match(r" {4,}\S", lines[at]) or
                                       (not lines[at].strip() and at + 1 < len(lines) and re.match(r" {4,}\S", lines[at + 1]))):
                at += 1
            body = "\n".join(lines[start:at]) + "\n"
            if body.split()[0] in PROGRAMS:
                blocks.append(Block("commands", start + 1, body, asks))
                asks = []
        else:
            if line.strip():
                asks = [] if not re.match(r"\s*<!--", line) else asks
            at += 1
    return blocks
