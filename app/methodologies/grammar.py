"""The formula language of methodologies: small, closed, exact.

A formula is a list of named steps and one last line, its result::

    let be = distance_km * fuel_car * ef_gasoline
    let pe = distance_km * bev_consumption * grid / charge_efficiency
    be - pe

It knows + - * / (also × ÷ −), parentheses, min, max, floor, ceil, if(condition, then, else), one comparison per
condition, names, decimal numbers and, for choices, a quoted text beside == or !=. Nothing else: no calls into
Python, no loops, no powers, no attribute. Text from people is read by the tokenizer and the parser below and by
nothing else. This module imports nothing of the project.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

MAX_TEXT: Final = 4_000
MAX_DEPTH: Final = 60
MAX_NODES: Final = 600
MAX_STEPS: Final = 50
MAX_DIGITS: Final = 30
MAX_GROWTH: Final = 400
FUNCTIONS: Final = frozenset({"min", "max", "floor", "ceil", "if"})
RESERVED: Final = FUNCTIONS | {"let"}

WORDS: Final[dict[str, tuple[str, str]]] = {
    "text_too_long": ("公式超过 {limit} 个字符", "the formula is longer than {limit} characters"),
    "unknown_character": ("不认识的字符 {found}", "{found} does not belong to the formula language"),
    "unclosed_text": ("引号没有闭合", "the quoted text is not closed"),
    "number_too_long": ("数字超过 {limit} 位", "the number has more than {limit} digits"),
    "bad_number": ("数字 {found} 写法不对", "{found} is not a number: write 12 or 12.5"),
    "expected": ("这里应当是 {expected},却是 {found}", "expected {expected} here, found {found}"),
    "too_deep": ("公式嵌套超过 {limit} 层,请用 let 拆开", "nested deeper than {limit}: split it with let"),
    "too_large": ("公式超过 {limit} 项,请精简", "the formula has more than {limit} parts"),
    "grows_too_fast": (
        "结果的位数会增长过快(重复相乘);请精简",
        "the numbers would grow without bound (products of products): simplify",
    ),
    "too_many_steps": ("let 步骤超过 {limit} 个", "more than {limit} let steps"),
    "no_result": ("最后一行应当是结果表达式", "the last line must be the result, an expression without let"),
    "after_result": ("结果表达式之后不能再有内容", "nothing may follow the result line"),
    "reserved_name": ("{name} 是保留字,不能作为名称", "{name} is a word of the language and cannot be a name"),
    "duplicate_name": ("名称 {name} 重复", "the name {name} is used twice"),
    "unknown_name": ("没有声明的名称 {name}", "{name} is not declared"),
    "unused_name": ("{name} 没有在公式中使用", "{name} is not used by the formula"),
    "argument_count": ("{name} 需要 {expected} 个参数,现有 {found} 个", "{name} takes {expected}, found {found}"),
    "text_outside_choice": (
        "引号文本只能与选项变量用 == 或 != 比较",
        "a quoted text may only be compared with a choice by == or !=",
    ),
    "unknown_option": ("{name} 没有选项 {found}", "{name} has no option {found}"),
    "division_by_zero": ("除数恒为零", "the divisor is always zero"),
    "division_may_be_zero": (
        "在允许的取值范围内除数可能为零;请提高变量的 min,或用 max 保护",
        "the divisor can be zero within the allowed ranges: raise a variable's min, or guard it with max",
    ),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, where (1-based line and column of the text), and in plain words zh and en."""

    code: str
    line: int
    column: int
    zh: str
    en: str
    severity: str = "error"

    def moved(self, line: int, column: int = 0) -> "Problem":
        """The same problem seen from a file in which the formula begins `line` lines further down."""
        return Problem(self.code, self.line + line, self.column + column, self.zh, self.en, self.severity)


def problem(code: str, line: int, column: int, *, severity: str = "error", **details: object) -> Problem:
    """Build a Problem of this module from its code and the details its wording names."""
    zh, en = WORDS[code]
    return Problem(code, line, column, zh.format(**details), en.format(**details), severity)


class FormulaError(ValueError):
    """The text is not a formula; `problems` holds everything found, in order of place."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(problems, key=lambda p: (p.line, p.column))
        super().__init__("; ".join(f"{p.line}:{p.column} {p.en}" for p in self.problems))


@dataclass(frozen=True, slots=True)
class Node:
    """What every part of a formula carries: its place, and how deep the tree is below it."""

    line: int
    column: int
    depth: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Number(Node):
    value: Fraction


@dataclass(frozen=True, slots=True)
class Text(Node):
    value: str


@dataclass(frozen=True, slots=True)
class Name(Node):
    name: str


@dataclass(frozen=True, slots=True)
class Negative(Node):
    operand: Node


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """op is one of + - * /."""

    op: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Compare(Node):
    """op is one of < <= > >= == !=; stands only as the first argument of if."""

    op: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Call(Node):
    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """`let name = expression`."""

    name: str
    expression: Node
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Formula:
    steps: tuple[Step, ...]
    result: Node


@dataclass(frozen=True, slots=True)
class Token:
    kind: str  # number, name, text, op, newline, end
    text: str
    line: int
    column: int

    def shown(self) -> str:
        """How an error message names this token."""
        if self.kind == "newline":
            return "the end of the line 行尾"
        if self.kind == "end":
            return "the end 结尾"
        return repr(self.text)


_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\u3000]+|\#[^\n]*)
      | (?P<newline>\n)
      | (?P<number>[0-9][0-9A-Za-z_.]*)
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<text>"[^"\n]*")
      | (?P<op><=|>=|==|!=|[-+*/(),<>=\u00d7\u00f7\u2212])
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_SPELLING: Final = {"\u00d7": "*", "\u00f7": "/", "\u2212": "-"}
_DECIMAL = re.compile(r"[0-9]+(\.[0-9]+)?\Z")


def tokenize(text: str) -> tuple[list[Token], list[Problem]]:
    """Cut the text into tokens; characters that don't belong are reported and skipped."""
    if len(text) > MAX_TEXT:
        return [], [problem("text_too_long", 1, 1, limit=MAX_TEXT)]
    tokens: list[Token] = []
    problems: list[Problem] = []
    line, line_start, brackets = 1, 0, 0
    for match in _TOKEN.finditer(text):
        kind, found, column = match.lastgroup or "other", match.group(), match.start() - line_start + 1
        if kind == "newline":
            if brackets <= 0:
                tokens.append(Token("newline", "\n", line, column))
            line, line_start = line + 1, match.end()
        elif kind == "other":
            code = "unclosed_text" if found == '"' else "unknown_character"
            problems.append(problem(code, line, column, found=repr(found)))
        elif kind != "space":
            found = _SPELLING.get(found, found)
            brackets += (found == "(") - (found == ")")
            tokens.append(Token(kind, found, line, column))
    tokens.append(Token("end", "", line, len(text) - line_start + 1))
    return tokens, problems


class _Stop(Exception):
    """Ends the reading of one statement; the parser goes on with the next."""

    def __init__(self, found: Problem) -> None:
        self.problem = found


class _Parser:
    """Recursive descent over one statement's tokens."""

    def __init__(self, tokens: list[Token], budget: list[int]) -> None:
        self.tokens = tokens
        self.at = 0
        self.nesting = 0
        self.budget = budget  # nodes left, shared by all statements of a formula

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def take(self) -> Token:
        token = self.token
        if token.kind not in ("newline", "end"):
            self.at += 1
        return token

    def fail(self, code: str, token: Token, **details: object) -> _Stop:
        zh, en = WORDS[code]
        return _Stop(Problem(code, token.line, token.column, zh.format(**details), en.format(**details)))

    def is_op(self, *ops: str) -> bool:
        return self.token.kind == "op" and self.token.text in ops

    def expect(self, op: str) -> Token:
        if not self.is_op(op):
            raise self.fail("expected", self.token, expected=repr(op), found=self.token.shown())
        return self.take()

    def spend(self, token: Token, *children: Node) -> int:
        """Account for one node; returns its depth."""
        self.budget[0] -= 1
        if self.budget[0] < 0:
            raise self.fail("too_large", token, limit=MAX_NODES)
        depth = 1 + max((child.depth for child in children), default=0)
        if depth > MAX_DEPTH:
            raise self.fail("too_deep", token, limit=MAX_DEPTH)
        return depth

    def statement(self) -> Step | Node:
        first = self.token
        if not (first.kind == "name" and first.text == "let"):
            return self.whole_expression()
        self.take()
        name = self.take()
        if name.kind != "name":
            raise self.fail("expected", name, expected="a name 名称", found=name.shown())
        if name.text in RESERVED:
            raise self.fail("reserved_name", name, name=name.text)
        self.expect("=")
        return Step(name.text, self.whole_expression(), name.line, name.column)

    def whole_expression(self) -> Node:
        node = self.expression()
        if self.token.kind not in ("newline", "end"):
            raise self.fail("expected", self.token, expected="an operator 运算符", found=self.token.shown())
        return node

    def expression(self) -> Node:
        return self.chain(self.term, "+", "-")

    def term(self) -> Node:
        return self.chain(self.factor, "*", "/")

    def chain(self, part: Callable[[], Node], *ops: str) -> Node:
        left = part()
        while self.is_op(*ops):
            op = self.take()
            right = part()
            left = Binary(op.line, op.column, self.spend(op, left, right), op.text, left, right)
        return left

    def factor(self) -> Node:
        self.nesting += 1
        token = self.take()
        if self.nesting > MAX_DEPTH:
            raise self.fail("too_deep", token, limit=MAX_DEPTH)
        try:
            return self.factor_at(token)
        finally:
            self.nesting -= 1

    def factor_at(self, token: Token) -> Node:
        if token.kind == "op" and token.text == "-":
            operand = self.factor()
            return Negative(token.line, token.column, self.spend(token, operand), operand)
        if token.kind == "op" and token.text == "(":
            inner = self.expression()
            self.expect(")")
            return inner
        if token.kind == "number":
            return self.number(token)
        if token.kind == "name":
            return self.call(token) if self.is_op("(") or token.text in FUNCTIONS else self.name(token)
        if token.kind == "text":
            raise self.fail("text_outside_choice", token)
        raise self.fail("expected", token, expected="a number, a name or ( 数字、名称或括号", found=token.shown())

    def number(self, token: Token) -> Number:
        if not _DECIMAL.match(token.text):
            raise self.fail("bad_number", token, found=repr(token.text[:40]))
        if len(token.text) > MAX_DIGITS:
            raise self.fail("number_too_long", token, limit=MAX_DIGITS)
        return Number(token.line, token.column, self.spend(token), Fraction(token.text))

    def name(self, token: Token) -> Name:
        if token.text in RESERVED:
            raise self.fail("reserved_name", token, name=token.text)
        return Name(token.line, token.column, self.spend(token), token.text)

    def call(self, token: Token) -> Call:
        if token.text not in FUNCTIONS:
            raise self.fail("unknown_name", token, name=f"{token.text}()")
        self.expect("(")
        arguments = [self.condition() if token.text == "if" else self.expression()]
        while self.is_op(","):
            self.take()
            arguments.append(self.expression())
        self.expect(")")
        self.check_count(token, len(arguments))
        return Call(token.line, token.column, self.spend(token, *arguments), token.text, tuple(arguments))

    def check_count(self, token: Token, count: int) -> None:
        least, most = {"floor": (1, 1), "ceil": (1, 1), "if": (3, 3)}.get(token.text, (2, 20))
        if not least <= count <= most:
            expected = str(least) if least == most else f"{least}–{most}"
            raise self.fail("argument_count", token, name=token.text, expected=expected, found=count)

    def condition(self) -> Compare:
        left = self.expression()
        op = self.take()
        if not (op.kind == "op" and op.text in ("<", "<=", ">", ">=", "==", "!=")):
            raise self.fail("expected", op, expected="a comparison 比较符", found=op.shown())
        if self.token.kind == "text":
            text = self.take()
            if op.text not in ("==", "!=") or not isinstance(left, Name):
                raise self.fail("text_outside_choice", text)
            right: Node = Text(text.line, text.column, self.spend(text), text.text[1:-1])
        else:
            right = self.expression()
        return Compare(op.line, op.column, self.spend(op, left, right), op.text, left, right)


def _statements(tokens: list[Token]) -> Iterator[list[Token]]:
    """Split at line ends; every statement keeps its closing newline or end token."""
    current: list[Token] = []
    for token in tokens:
        current.append(token)
        if token.kind in ("newline", "end"):
            if len(current) > 1:
                yield current
            current = []


def parse(text: str) -> Formula:
    """Read a formula.

    Raises FormulaError with every problem found: a broken line does not hide what is wrong in the others.
    """
    tokens, problems = tokenize(text)
    steps: list[Step] = []
    results: list[Node] = []
    budget = [MAX_NODES]
    for statement in _statements(tokens):
        try:
            read = _Parser(statement, budget).statement()
        except _Stop as stop:
            problems.append(stop.problem)
            results += [Number(0, 0, 1, Fraction(0))] * (statement[0].text != "let")
            continue
        if results:
            problems.append(problem("after_result", statement[0].line, statement[0].column))
        if isinstance(read, Step):
            steps.append(read)
        else:
            results.append(read)
    if not results and not any(p.code == "text_too_long" for p in problems):
        problems.append(problem("no_result", tokens[-1].line, tokens[-1].column))
    if len(steps) > MAX_STEPS:
        problems.append(problem("too_many_steps", steps[MAX_STEPS].line, steps[MAX_STEPS].column, limit=MAX_STEPS))
    if not problems:
        problems += _check_growth(steps, results[0])
    if problems:
        raise FormulaError(problems)
    return Formula(tuple(steps), results[0])


def _check_growth(steps: list[Step], result: Node) -> list[Problem]:
    """Refuse formulas whose exact numbers would grow beyond reason, as squaring a step fifty times would.

    The measure counts how many written numbers and inputs a value is made of, through all steps.
    """
    sizes: dict[str, int] = {}
    for name, expression in [*((step.name, step.expression) for step in steps), ("", result)]:
        size = sum(sizes.get(n.name, 1) if isinstance(n, Name) else isinstance(n, Number) for n in walk(expression))
        if size > MAX_GROWTH:
            return [problem("grows_too_fast", expression.line, expression.column)]
        sizes[name] = max(size, 1)
    return []


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it, outermost first."""
    yield node
    children: tuple[Node, ...] = ()
    if isinstance(node, Negative):
        children = (node.operand,)
    elif isinstance(node, Binary | Compare):
        children = (node.left, node.right)
    elif isinstance(node, Call):
        children = node.arguments
    for child in children:
        yield from walk(child)


def check_names(formula: Formula, declared: dict[str, frozenset[str] | None]) -> list[Problem]:
    """Names used but not declared, steps that hide a declared name, options that don't exist, names never used.

    `declared` maps each variable and parameter to its options, or to None for a quantity.
    """
    problems: list[Problem] = []
    known = dict(declared)
    used: set[str] = set()
    for step in (*formula.steps, None):
        expression = step.expression if step else formula.result
        problems += _check_uses(expression, known, used)
        if step is None:
            break
        if step.name in known:
            problems.append(problem("duplicate_name", step.line, step.column, name=step.name))
        known[step.name] = None
    for step in formula.steps:
        if step.name not in used:
            problems.append(problem("unused_name", step.line, step.column, name=step.name, severity="warning"))
    return problems


def _check_uses(expression: Node, known: dict[str, frozenset[str] | None], used: set[str]) -> list[Problem]:
    problems: list[Problem] = []
    as_choice: set[int] = set()
    for node in walk(expression):
        if isinstance(node, Compare) and isinstance(node.right, Text) and isinstance(node.left, Name):
            as_choice.add(id(node.left))
            options = known.get(node.left.name)
            if node.left.name in known and (options is None or node.right.value not in options):
                where = node.right
                found = repr(where.value)
                problems.append(problem("unknown_option", where.line, where.column, name=node.left.name, found=found))
        elif isinstance(node, Name):
            used.add(node.name)
            if node.name not in known:
                problems.append(problem("unknown_name", node.line, node.column, name=node.name))
            elif known[node.name] is not None and id(node) not in as_choice:
                problems.append(problem("text_outside_choice", node.line, node.column))
    return problems
