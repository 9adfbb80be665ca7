"""As much of the Common Expression Language as the rules of our CRD use; anything else is a Failure and not a guess.

Literals (text, numbers, lists), `self`, members, `[]`, has(), size(), contains, startsWith, endsWith, matches, duration(), all, exists,
`in`, comparisons, `!`, `&&`, `||`, `? :`. Members that are words of the language are written `__namespace__`, as Kubernetes has it.
"""
import re

TOKEN = re.compile(r"""\s*(?:(?P<number>\d+)|(?P<text>'(?:[^'\\]|\\.)*')|(?P<name>[A-Za-z_]\w*)|(?P<sign>&&|\|\||==|!=|<=|>=|[-!<>?:.,()\[\]]))""")
UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
RESERVED = {"namespace", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package",
            "return", "var", "void", "while", "true", "false", "null"}


class Failure(Exception):
    pass


def tokens(text):
    found, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = TOKEN.match(text, at)
        if not match:
            raise Failure("cannot read %r" % text[at:at + 20])
        found.append((match.lastgroup, match.group(match.lastgroup)))
        at = match.end()
    return found + [("end", "")]


def seconds(text):
    if text in ("0", "+0"):
        return 0.0
    parts = re.findall(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", text)
    if "".join(a + b for a, b in parts) != text.lstrip("+"):
        raise Failure("%r is no duration" % text)
    return sum(float(number) * UNITS[unit] for number, unit in parts)


class Parser:
    """To closures over the variables: {name: value} -> value."""

    def __init__(self, text):
        self.tokens, self.at = tokens(text), 0

    def peek(self, *signs):
        return self.tokens[self.at][0] in ("sign", "name") and self.tokens[self.at][1] in signs

    def take(self, *signs):
        if signs and not self.peek(*signs):
            raise Failure("expected %s at %r" % (" or ".join(signs), self.tokens[self.at][1]))
        self.at += 1
        return self.tokens[self.at - 1]

    def whole(self):
        value = self.ternary()
        if self.tokens[self.at][0] != "end":
            raise Failure("left over: %r" % self.tokens[self.at][1])
        return value

    def ternary(self):
        condition = self.either()
        if not self.peek("?"):
            return condition
        self.take("?")
        yes = self.either()
        self.take(":")
        no = self.ternary()
        return lambda v: yes(v) if truth(condition(v)) else no(v)

    def either(self):
        left = self.both()
        while self.peek("||"):
            self.take()
            left = (lambda a, b: lambda v: truth(a(v)) or truth(b(v)))(left, self.both())
        return left

    def both(self):
        left = self.relation()
        while self.peek("&&"):
            self.take()
            left = (lambda a, b: lambda v: truth(a(v)) and truth(b(v)))(left, self.relation())
        return left

    def relation(self):
        left = self.unary()
        if not self.peek("==", "!=", "<", "<=", ">", ">=", "in"):
            return left
        sign, right = self.take()[1], self.unary()
        compare = {"==": lambda a, b: same(a, b), "!=": lambda a, b: not same(a, b), "<": lambda a, b: a < b, "<=": lambda a, b: a <= b,
                   ">": lambda a, b: a > b, ">=": lambda a, b: a >= b, "in": lambda a, b: a in b}[sign]
        return lambda v: compare(left(v), right(v))

    def unary(self):
        if self.peek("!"):
            self.take()
            inner = self.unary()
            return lambda v: not truth(inner(v))
        return self.member()

    def member(self):
        value = self.primary()
        while self.peek(".", "["):
            if self.take()[1] == "[":
                index = self.ternary()
                self.take("]")
                value = (lambda a, i: lambda v: at(a(v), i(v)))(value, index)
                continue
            name = self.take()[1]
            if self.peek("("):
                value = self.method(value, name)
            else:
                value = (lambda a, n: lambda v: at(a(v), n))(value, field(name))
        return value

    def arguments(self):
        self.take("(")
        found = []
        while not self.peek(")"):
            found.append(self.ternary())
            if not self.peek(")"):
                self.take(",")
        self.take(")")
        return found

    def method(self, value, name):
        if name in ("all", "exists"):
            self.take("(")
            variable = self.take()[1]
            self.take(",")
            body = self.ternary()
            self.take(")")
            quantifier = all if name == "all" else any
            return lambda v: quantifier(truth(body({**v, variable: item})) for item in value(v))
        functions = {"size": lambda a: len(a), "contains": lambda a, b: b in a, "startsWith": lambda a, b: a.startswith(b),
                     "endsWith": lambda a, b: a.endswith(b),
                     "matches": lambda a, b: re.search(re.sub(r"(?<!\\)\$(?=$|\))", r"\\Z", b), a) is not None}
        if name not in functions:
            raise Failure("unknown function %s" % name)
        arguments = self.arguments()
        return lambda v: functions[name](value(v), *[a(v) for a in arguments])

    def primary(self):
        kind, text = self.take()
        if kind == "number":
            return lambda v: int(text)
        if kind == "text":
            literal = re.sub(r"\\(.)", r"\1", text[1:-1])
            return lambda v: literal
        if text == "(":
            inner = self.ternary()
            self.take(")")
            return inner
        if text == "[":
            items = []
            while not self.peek("]"):
                items.append(self.ternary())
                if not self.peek("]"):
                    self.take(",")
            self.take("]")
            return lambda v: [item(v) for item in items]
        if text in ("true", "false"):
            return lambda v: text == "true"
        if kind == "name" and self.peek("("):
            if text == "has":
                return self.presence()
            if text in ("size", "duration"):
                (argument,) = self.arguments()
                return (lambda v: len(argument(v))) if text == "size" else (lambda v: seconds(argument(v)))
        if kind == "name" and text not in RESERVED:
            return lambda v: lookup(v, text)
        raise Failure("unexpected %r" % text)

    def presence(self):
        self.take("(")
        start = self.at
        self.member()
        end = self.at
        name = self.tokens[end - 1][1]
        # The same once more without its last member.
        self.at = start
        value = self.prefix(end - 2)
        self.at = end
        self.take(")")
        return lambda v: field(name) in value(v) and value(v)[field(name)] is not None

    def prefix(self, end):
        name = self.take()[1]
        value = lambda v: lookup(v, name)
        while self.at < end:
            self.take(".")
            value = (lambda a, n: lambda v: at(a(v), n))(value, field(self.take()[1]))
        return value


def field(name):
    if name in RESERVED:
        raise Failure("%s is a word of the language: write __%s__" % (name, name))
    return name[2:-2] if name.startswith("__") and name.endswith("__") else name


def lookup(variables, name):
    if name not in variables:
        raise Failure("unknown name %s" % name)
    return variables[name]


def at(value, key):
    try:
        return value[key]
    except (KeyError, IndexError, TypeError):
        raise Failure("no such member: %s" % key)


def same(a, b):
    if isinstance(a, bool) != isinstance(b, bool) or isinstance(a, str) != isinstance(b, str):
        raise Failure("compares values of different types")
    return a == b


def truth(value):
    if not isinstance(value, bool):
        raise Failure("not a bool: %r" % (value,))
    return value


def evaluate(text, variables):
    return Parser(text).whole()(variables)
