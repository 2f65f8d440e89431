# SPDX-License-Identifier: GPL-2.0
"""The small changes that lab/mutate makes to C code, and code that has both ways.

It works on text alone. What this takes for an operand ends at a bracket, or where an
operator binds less tightly.
"""
import collections
import hashlib
import re
import sys

NOT_CODE = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\])*\"|^#(?:\\\n|[^\n])*",
                      re.S | re.M)
# What only tells the debug kernel something, or the compiler
NO_CALL = r"(?!lockdep_|might_sleep|DECLARE_|static_assert|BUILD_BUG|cond_resched|return|MODULE_|EXPORT_)"

# What both ways look like: %(n)d is the number, %(new)s the mutant, %(old)s the rest
VALUE = "(iommu_mutant(%(n)d) ? (%(new)s) : (%(old)s))"
NEGATE = "iommu_mutant(%(n)d) ^ !!(%(old)s)"
DROP = "{ if (!iommu_mutant(%(n)d)) %(old)s }"
JUMP = "{ if (iommu_mutant(%(n)d)) %(new)s %(old)s }"

# How tightly an operator binds; what is above ends an operand.
LEVELS = [r"[;{}]|\breturn\b", r",|\?|:|(?:<<|>>|[-+*/%&|^])?=(?!=)", r"\|\|", r"&&",
          r"\|(?=\s)", r"\^(?=\s)", r"(?<=\s)&(?=\s)", "==|!=", r"<=|>=|(?<=\s)[<>](?=\s)"]
TOKEN = re.compile("|".join("(%s)" % pattern for pattern in LEVELS + [r"[(\[]", r"[)\]]"]))
OPEN, CLOSE = len(LEVELS), len(LEVELS) + 1

LVALUE = r"\*?\w+(?:\[\w+\]|\.\w+|->\w+)*"
# Name, pattern, replacement, what both ways look like; matched in code only. Where a
# level stands, the operands belong to it.
RULES = [
    ("drop a call", r"(?<=\n)\t+" + NO_CALL + r"\w+\((?:[^;{}])*\);(?=\n)", ";", DROP),
    ("drop an assignment", r"(?<=\n)\t+\*?[\w.\[\]]+(?:->[\w.\[\]>-]+)+ [|&^+-]?= [^;{}]*;(?=\n)",
     ";", DROP),
    ("negate", r"\b(?:if|while) \((?=[^\n])", None, NEGATE),
    ("< to <=", r" < ", " <= ", 8), ("<= to <", r" <= ", " < ", 8),
    ("> to >=", r" > ", " >= ", 8), (">= to >", r" >= ", " > ", 8),
    ("== to !=", r" ==(?=\s)", " !=", 7), ("!= to ==", r" !=(?=\s)", " ==", 7),
    ("&& to ||", r" &&(?=\s)", " ||", 3), ("|| to &&", r" \|\|(?=\s)", " &&", 2),
    ("no + 1", r"(?<= \+ )1\b", "0", VALUE), ("no - 1", r"(?<= - )1\b", "0", VALUE),
    ("| to &", r" \|(?=\s)", " &", 4), ("no ~", r"~(?:\(\w+\))?(?=[\w(])", None, VALUE),
    ("|= to =", LVALUE + r" \|= [^;]*(?=;)", (r"\|=", "="), VALUE),
    ("&= to |=", LVALUE + r" &= [^;]*(?=;)", (r"&=", "|="), VALUE),
    ("no error", r"(?<=return )(?:-E\w+|rc|ret|err|PTR_ERR\(\w+\))(?=;)", "0", VALUE),
    ("true to false", r"\btrue\b", "false", VALUE),
    ("false to true", r"\bfalse\b", "true", VALUE),
    ("off by one", r"(?<![\w.])[1-9]\d*(?![\w.])", "+1", VALUE),
    ("0 to 1", r"(?<= = )0(?=[;,])", "1", VALUE),
    ("++ to --", r"\+\+" + LVALUE + "|" + LVALUE + r"\+\+", (r"\+\+", "--"), VALUE),
    ("-- to ++", r"--" + LVALUE + "|" + LVALUE + r"--", ("--", "++"), VALUE),
    ("break to continue", r"\bbreak;", "continue;", JUMP),
    ("continue to break", r"\bcontinue;", "break;", JUMP),
]

Mutant = collections.namedtuple("Mutant", "n ident path line rule start end old new form first where")


def closing(code, at):
    """The parenthesis that closes the one at @at"""
    depth = 0
    for i in range(at, len(code)):
        depth += (code[i] == "(") - (code[i] == ")")
        if not depth:
            return i
    return None


def operands(code, tokens, start, end, level):
    """Where the operands of an operator of @level begin and end"""
    edges = []
    for near, opens, shut in ((reversed([t for t in tokens if t[1] <= start]), CLOSE, OPEN),
                              ([t for t in tokens if t[0] >= end], OPEN, CLOSE)):
        depth = 0
        for edge in near:
            if not edge[2] or not depth and (edge[2] == shut or edge[2] < level):
                break
            depth += (edge[2] == opens) - (edge[2] == shut)
        edges.append(edge)
    first, last = edges[0][1], edges[1][0]
    text = code[first:last]
    return (first + len(text) - len(text.lstrip("\0 \t\n")),
            first + len(text.rstrip("\0 \t\n")))


def mutants(path, source, n):
    """Each change, numbered from @n on"""
    code = NOT_CODE.sub(lambda m: re.sub(r"[^\n]", "\0", m.group()), source)
    tokens = [(m.start(), m.end(), m.lastindex - 1) for m in TOKEN.finditer(code)]
    body = code.find("\n{")  # skip tables and includes before the first function
    for rule, pattern, new, form in RULES:
        for m in re.finditer(pattern, code):
            start, end = at, till = m.span()
            if start < body or "\0" in code[start:end]:
                continue
            # Not the end of a statement that begins further up
            if form == DROP and not re.search(r"([;{}):\0]|else)\s*$", code[:start]):
                continue
            if form in (DROP, NEGATE, JUMP):
                start = at = start + len(m.group()) - len(m.group().lstrip())
            if form == NEGATE:
                start, end = end, closing(code, end - 1)
                text = "!(%s)" % source[start:end]
            elif new is None:  # no ~
                end = re.compile(r"[\w.\[\]]*(?:->[\w.\[\]]+)*").match(code, end).end()
                if code[end] == "(":
                    end = closing(code, end) + 1
                text = source[start + 1:end]
            elif new == "+1":
                text = str(int(m.group()) + 1)
            elif isinstance(new, tuple):
                text = re.sub(new[0], new[1], source[start:end], count=1)
            elif isinstance(form, int):
                start, end = operands(code, tokens, start, end, form)
                text = source[start:at] + new + source[till:end]
            else:
                text = new
            top = source.rfind("\n}\n", 0, at) + 1
            bottom = source.find("\n}\n", at)
            ident = hashlib.sha1((path + source[top:start] + text + source[end:bottom])
                                 .encode()).hexdigest()[:12]
            at += len(source[at:]) - len(source[at:].lstrip())
            line = source.count("\n", 0, at) + 1
            yield Mutant(n, ident, path, "%d:%d" % (line, at - source.rfind("\n", 0, at)), rule,
                         start, end, " ".join(source[start:end].split()),
                         " ".join(text.split()), VALUE if isinstance(form, int) else form,
                         source.count("\n", 0, start) + 1, "%s:%d" % (path, top))
            n += 1


def both_ways(source, todo):
    """The text that asks which of its mutants is chosen, with its lines where they were"""
    todo = sorted(todo, key=lambda m: (m.start, -m.end, m.form == VALUE))

    def text(start, end):
        out = ""
        while todo and todo[0].start < end:
            m = todo.pop(0)
            if m.end > end:
                sys.exit("%s:%s: %s: overlaps" % (m.path, m.line, m.rule))
            out += source[start:m.start]
            out += m.form % {"n": m.n, "new": m.new, "old": text(m.start, m.end)}
            start = m.end
        return out + source[start:end]
    return text(0, len(source))
