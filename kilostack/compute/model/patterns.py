"""Regular expressions that users send to filter lists, matched in time linear in the text.

Upstream hands them to its database. Python's own engine backtracks, so that one request could hold the event loop for
minutes; here a pattern becomes a small automaton whose states are walked all at once. Letters match in either case, as
in upstream's usual database.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Test = Callable[[str], bool]
#: (kind, ...): a parsed part
Tree = tuple[Any, ...]

_SPECIAL = frozenset("\\^$.|?*+()[]{}")
_LONGEST = 255
_MOST_STATES = 2000
_CLASSES: dict[str, Test] = {
    "d": str.isdigit,
    "w": lambda c: c.isalnum() or c == "_",
    "s": str.isspace,
}


class BadPattern(ValueError):
    """The text is no regular expression, or one of a kind that is not taken."""


class Pattern:
    """A compiled pattern: literals, `.`, classes, groups, `|`, `* + ? {m,n}`, `^` and `$`. Raises `BadPattern`."""

    def __init__(self, text: str) -> None:
        if len(text) > _LONGEST:
            raise BadPattern(f"it is longer than {_LONGEST} characters")
        self._literal = None if _SPECIAL & set(text) else text.lower()
        if self._literal is None:
            machine = _Machine()
            start = _Parser(text, machine).parse()
            self._machine = machine
            self._start = start
            self._moves: dict[tuple[frozenset[int], str], frozenset[int]] = {}

    def found_in(self, subject: str) -> bool:
        """True if some part of `subject` matches."""
        if self._literal is not None:
            return self._literal in subject.lower()
        machine, done = self._machine, self._machine.done
        empty = not subject
        states = machine.closure({self._start}, at_start=True, at_end=empty)
        # what may begin at any later character
        fresh = machine.closure({self._start}, at_start=False, at_end=False)
        for at, char in enumerate(subject):
            if done in states:
                return True
            last = at == len(subject) - 1
            states = self._step(states, char) if not last else machine.move(states, char, at_end=True)
            states |= fresh if not last else machine.closure({self._start}, at_start=False, at_end=True)
        return done in states

    def _step(self, states: frozenset[int], char: str) -> frozenset[int]:
        if (known := self._moves.get((states, char))) is None:
            if len(self._moves) > 10_000:
                self._moves.clear()
            known = self._moves[(states, char)] = self._machine.move(states, char, at_end=False)
        return known


class _Machine:
    """States: each tests a character and goes on, or goes on without one (maybe only at an end of the text)."""

    def __init__(self) -> None:
        self.tests: list[Test | None] = []
        self.next: list[list[int]] = []
        self.asserts: list[str] = []
        self.done = self.add()

    def add(self, test: Test | None = None, to: tuple[int, ...] = (), asserts: str = "") -> int:
        if len(self.tests) >= _MOST_STATES:
            raise BadPattern("it is too complex")
        self.tests.append(test)
        self.next.append(list(to))
        self.asserts.append(asserts)
        return len(self.tests) - 1

    def closure(self, states: set[int], *, at_start: bool, at_end: bool) -> frozenset[int]:
        """All states reached without a character."""
        found: set[int] = set()
        left = list(states)
        while left:
            state = left.pop()
            if state in found:
                continue
            found.add(state)
            wanted = self.asserts[state]
            held = not wanted or (at_start if wanted == "^" else at_end)
            if self.tests[state] is None and held:
                left.extend(self.next[state])
        return frozenset(found)

    def move(self, states: frozenset[int], char: str, *, at_end: bool) -> frozenset[int]:
        lower, upper = char.lower(), char.upper()
        reached: set[int] = set()
        for state in states:
            test = self.tests[state]
            if test is not None and (test(char) or test(lower) or test(upper)):
                reached.update(self.next[state])
        return self.closure(reached, at_start=False, at_end=at_end)


class _Parser:
    """Recursive descent; each method is given the state to go on to and returns the one to begin with."""

    def __init__(self, text: str, machine: _Machine) -> None:
        self._text, self._at, self._machine, self._depth = text, 0, machine, 0

    def parse(self) -> int:
        tree = self._either()
        if self._at != len(self._text):
            raise BadPattern("a ')' has no '('")
        return self._build(tree, self._machine.done)

    def _peek(self) -> str:
        return self._text[self._at] if self._at < len(self._text) else ""

    def _take(self) -> str:
        char = self._peek()
        if not char:
            raise BadPattern("it ends too early")
        self._at += 1
        return char

    def _either(self) -> Tree:
        self._depth += 1
        if self._depth > 40:
            raise BadPattern("its groups are nested too deeply")
        options = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            options.append(self._sequence())
        self._depth -= 1
        return ("or", options)

    def _sequence(self) -> Tree:
        items = []
        while self._peek() not in ("", "|", ")"):
            items.append(self._repeated(self._atom()))
        return ("then", items)

    def _repeated(self, item: Tree) -> Tree:
        char = self._peek()
        if char and char in "*+?":
            self._at += 1
            low, high = {"*": (0, -1), "+": (1, -1), "?": (0, 1)}[char]
        elif char == "{":
            low, high = self._bounds()
        else:
            return item
        if item[0] == "assert":
            raise BadPattern(f"'{item[1]}' cannot be repeated")
        if self._peek() == "?":
            # a lazy repeat finds the same texts
            self._at += 1
        if self._peek() and self._peek() in "*+?{":
            raise BadPattern("two repeats follow each other")
        return ("repeat", item, low, high)

    def _bounds(self) -> tuple[int, int]:
        end = self._text.find("}", self._at)
        low, comma, high = self._text[self._at + 1 : max(end, 0)].partition(",")
        if end < 0 or not low.isdecimal() or (high and not high.isdecimal()):
            raise BadPattern("'{' is not followed by '{m}', '{m,}' or '{m,n}'")
        self._at = end + 1
        bounds = int(low), int(high) if high else (-1 if comma else int(low))
        if bounds[0] > 255 or bounds[1] > 255 or -1 < bounds[1] < bounds[0]:
            raise BadPattern("the bounds of a repeat are wrong")
        return bounds

    def _atom(self) -> Tree:
        char = self._take()
        if char in "*+?{":
            raise BadPattern(f"'{char}' has nothing to repeat")
        if char in "^$":
            return ("assert", char)
        if char == "(":
            if self._text.startswith("?:", self._at):
                self._at += 2
            elif self._peek() == "?":
                raise BadPattern("groups that begin with '(?' are not taken")
            inner = self._either()
            if self._take() != ")":
                raise BadPattern("a '(' has no ')'")
            return inner
        if char == "[":
            return ("char", self._class())
        if char == ".":
            return ("char", lambda c: True)
        return ("char", self._escaped() if char == "\\" else char.__eq__)

    def _escaped(self) -> Test:
        char = self._take()
        if (test := _CLASSES.get(char.lower())) is not None:
            return test if char.islower() else lambda c: not test(c)
        if char.isalnum():
            raise BadPattern(f"'\\{char}' is not taken")
        return char.__eq__

    def _class(self) -> Test:
        negated = self._peek() == "^"
        self._at += int(negated)
        tests: list[Test] = []
        first = True
        while (char := self._take()) != "]" or first:
            first = False
            if char == "\\":
                tests.append(self._escaped())
            elif self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in ("", "]"):
                self._at += 1
                tests.append(_between(char, self._take()))
            else:
                tests.append(char.__eq__)
        return lambda c: any(test(c) or test(c.lower()) or test(c.upper()) for test in tests) is not negated

    def _build(self, tree: Tree, then: int) -> int:
        kind, machine = tree[0], self._machine
        if kind == "char":
            return machine.add(tree[1], (then,))
        if kind == "assert":
            return machine.add(None, (then,), str(tree[1]))
        if kind == "or":
            return machine.add(None, tuple(self._build(option, then) for option in tree[1]))
        if kind == "then":
            for item in reversed(tree[1]):
                then = self._build(item, then)
            return then
        _, item, low, high = tree
        return self._build_repeat(item, then, (low, high))

    def _build_repeat(self, item: Tree, then: int, bounds: tuple[int, int]) -> int:
        low, high = bounds
        if high < 0:
            loop = self._machine.add(None, (then,))
            self._machine.next[loop].append(self._build(item, loop))
            then = loop
        for _ in range(high - low if high >= 0 else 0):
            then = self._machine.add(None, (then, self._build(item, then)))
        for _ in range(low):
            then = self._build(item, then)
        return then


def _between(first: str, last: str) -> Test:
    if first > last:
        raise BadPattern(f"the range '{first}-{last}' is reversed")
    return lambda c: first <= c <= last
