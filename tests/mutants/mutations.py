"""Find the small changes, one each, that tests should notice in a source file.

1. We change comparisons, boolean and arithmetic operators, conditions, constants and returned
   values, and we delete statements.
2. We leave out what is not behaviour: annotations, docstrings, messages (f-strings, strings in
   `raise`, prose) and code for type checkers.
3. We leave out deletions that are only a NameError: the first assignment of a name.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

from tests.mutants.mutant import Mutant

COMPARISONS: dict[type[ast.cmpop], tuple[str, ...]] = {
    ast.Lt: ("<", "<=", ">="),
    ast.LtE: ("<=", "<", ">"),
    ast.Gt: (">", ">=", "<="),
    ast.GtE: (">=", ">", "<"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}
ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "*"),
    ast.Pow: ("**", "*"),
    ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: ("|", "&"),
    ast.BitXor: ("^", "&"),
}
TYPES = {"annotation", "returns", "type_params"}  # fields of a node
TYPE_CALLS = {"Literal", "TypeVar", "NewType", "ParamSpec", "cast"}
NOT_BEHAVIOUR = {"__all__", "__slots__", "TYPE_CHECKING", "overload", "assert_never"}
PROSE = re.compile(r"[\w,.;:)] +[\w(]")
QUOTE = re.compile(r"""[A-Za-z]*("{3}|'{3}|"|')""")


def mutants_of(path: str, source: str) -> Iterator[Mutant]:
    """Give every mutant of one file, in the order of its tree."""
    file = _File(path, source)
    yield from file.walk(ast.parse(source), _Place(frozenset(), in_raise=False, returns_bool=False))


class _Place(NamedTuple):
    """What is around a node: the lines of its statement, and whether it is in a `raise`."""

    lines: frozenset[int]
    in_raise: bool
    returns_bool: bool  # of the function


class _Change(NamedTuple):
    """The node that a mutant changes, the range of bytes to replace, and the new text."""

    node: ast.expr | ast.stmt
    start: int
    stop: int
    new: str


class _File:
    """The text of a file, with the changes of each node of its tree."""

    def __init__(self, path: str, source: str) -> None:
        self._path = path
        self._source = source
        self._data = source.encode()
        lines = self._data.splitlines(True)
        self._starts = [sum(map(len, lines[:number])) for number in range(len(lines))]

    def walk(self, node: ast.AST, place: _Place) -> Iterator[Mutant]:
        """Give the mutants of a node and of all below it."""
        if _is_not_behaviour(node):
            return
        if isinstance(node, ast.stmt):
            place = place._replace(lines=_header(node), in_raise=isinstance(node, ast.Raise))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            returns_bool = isinstance(node.returns, ast.Name) and node.returns.id == "bool"
            place = place._replace(returns_bool=returns_bool)
        for change in self._changes(node, place):
            lines = place.lines
            if not isinstance(change.node, ast.stmt):
                lines = lines.union(range(change.node.lineno, (change.node.end_lineno or 0) + 1))
            yield Mutant(self._path, self._source, *change[1:], lines)
        for name, value in ast.iter_fields(node):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and name not in TYPES:
                    yield from self.walk(child, place)

    def _changes(self, node: ast.AST, place: _Place) -> Iterator[_Change]:
        match node:
            case ast.Compare():
                operands = [node.left, *node.comparators]
                for left, operator, right in zip(operands, node.ops, operands[1:], strict=False):
                    old, *others = COMPARISONS[type(operator)]
                    for new in others:
                        yield from self._swap(left, right, old, new)
            case ast.BoolOp():
                old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
                for left, right in zip(node.values, node.values[1:], strict=False):
                    yield from self._swap(left, right, old, new)
            case ast.BinOp(left, op, right):
                if not any(_is_text(side) or _is_type(side) for side in (left, right)):
                    yield from self._swap(left, right, *ARITHMETIC[type(op)])
            case ast.UnaryOp(op=ast.Not() | ast.USub()):
                yield self._replace(node, f"({self._text(node.operand)})")
            case ast.If() | ast.While() | ast.IfExp():
                yield from self._negate(node.test)
            case ast.comprehension():
                for condition in node.ifs:
                    yield from self._negate(condition)
            case ast.Constant():
                yield from self._constant(node, place)
            case ast.Return(value=None) | ast.Raise() | ast.Break() | ast.Continue() | ast.Delete():
                yield self._replace(node, "pass")
            case ast.Return(value) if value is not None:
                if place.returns_bool:
                    yield from self._negate(value)
                elif not _is_none(value):
                    yield self._replace(value, "None")
            case ast.AugAssign():
                yield self._replace(node, "pass")
                if not _is_text(node.value):
                    yield from self._swap(node.target, node.value, *ARITHMETIC[type(node.op)])
            case ast.Assign():
                if any(_is_assigned_again(target, node.value) for target in node.targets):
                    yield self._replace(node, "pass")
            case ast.Expr(value) if not isinstance(value, ast.Yield | ast.YieldFrom):
                yield self._replace(node, "pass")
            case _:
                pass

    def _constant(self, node: ast.Constant, place: _Place) -> Iterator[_Change]:
        value = node.value
        if isinstance(value, bool):
            yield self._replace(node, str(not value))
        elif isinstance(value, int | float):
            yield self._replace(node, str(value + 1))
            yield self._replace(node, str(value - 1))
        elif isinstance(value, str | bytes):
            is_message = place.in_raise or (isinstance(value, str) and PROSE.search(value))
            quote = QUOTE.match(text := self._text(node))
            if quote is not None and not is_message:
                yield self._replace(node, f"{quote[0]}x{text[quote.end() :]}")

    def _negate(self, node: ast.expr) -> Iterator[_Change]:
        """Negate a condition that has no operator of its own to change."""
        if isinstance(node, ast.Name | ast.Attribute | ast.Call | ast.Subscript):
            yield self._replace(node, f"not {self._text(node)}")
        elif isinstance(node, ast.NamedExpr):
            yield self._replace(node, f"not ({self._text(node)})")

    def _swap(self, left: ast.expr, right: ast.expr, old: str, new: str) -> Iterator[_Change]:
        """Replace the operator between two operands, if no comment stands before it."""
        start, stop = self._range(left)[1], self._range(right)[0]
        between = self._data[start:stop].decode().partition("#")[0]
        operator = re.search(r"\s+".join(map(re.escape, old.split())), between)
        if operator is not None:
            yield _Change(left, start + operator.start(), start + operator.end(), new)

    def _replace(self, node: ast.expr | ast.stmt, new: str) -> _Change:
        return _Change(node, *self._range(node), new)

    def _text(self, node: ast.expr) -> str:
        start, stop = self._range(node)
        return self._data[start:stop].decode()

    def _range(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None and node.end_col_offset is not None
        start = self._starts[node.lineno - 1] + node.col_offset
        return start, self._starts[node.end_lineno - 1] + node.end_col_offset


def _header(node: ast.stmt) -> frozenset[int]:
    """Return the lines of a statement without the statements inside it.

    A constant in the middle of a statement may have no line of its own in the bytecode.
    """
    first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", ()))])
    if isinstance(node, ast.Match | ast.Try):
        return frozenset([node.lineno])
    body = getattr(node, "body", None)
    end = max(body[0].lineno - 1, node.lineno) if body else node.end_lineno or node.lineno
    return frozenset(range(first, end + 1))


def _is_not_behaviour(node: ast.AST) -> bool:
    match node:
        case ast.JoinedStr() | ast.Expr(value=ast.Constant()):
            return True  # a message; a docstring or `...`
        case (
            ast.Assign(targets=[ast.Name(id=name)])
            | ast.If(test=ast.Name(id=name))
            | ast.Expr(value=ast.Call(func=ast.Name(id=name)))
            | ast.FunctionDef(decorator_list=[ast.Name(id=name), *_])
        ):
            return name in NOT_BEHAVIOUR
        case ast.Subscript(value=ast.Name(id=name)) | ast.Call(func=ast.Name(id=name)):
            return name in TYPE_CALLS
        case _:
            return False


def _is_text(node: ast.expr) -> bool:
    constant = isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
    return constant or isinstance(node, ast.JoinedStr)


def _is_type(node: ast.expr) -> bool:
    """Tell whether an operand of `|` is a type: `None`, or a name that begins with a capital."""
    is_class = isinstance(node, ast.Name) and node.id[0].isupper() and not node.id.isupper()
    return is_class or _is_none(node)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_assigned_again(target: ast.expr, value: ast.expr) -> bool:
    """Tell whether a target surely has a value before, or is no name."""
    if isinstance(target, ast.Name):
        return any(isinstance(node, ast.Name) and node.id == target.id for node in ast.walk(value))
    return isinstance(target, ast.Attribute | ast.Subscript)
