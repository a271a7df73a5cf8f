"""Main loops in a disassembly by cuobjdump or nvdisasm, and the share of multiply-adds in them. Standard library only.

A loop is a natural loop: a branch back to an instruction that every way to the branch passes, and all that lies on a way
from there to the branch. The main loop of a kernel is the one with most FFMA, of those that hold no other such loop.
Counted is what stands in the code, not how often it runs. Left out: jump tables, and calls count as one instruction.
"""
import re
from collections import Counter

ADDRESS = re.compile(r"^\s*/\*([0-9a-f]{4,})\*/\s*(.*)$")
FUNCTION = re.compile(r"^\s*Function : (\S+)|^\.text\.(\S+):")
LABEL = re.compile(r"^(\.L_[\w$]+):")
GUARD = re.compile(r"^@(!?U?P[T\d]+)\s+")
FFMA = ("FFMA", "FFMA2")
# What jumps to the label that another instruction set, by the name both have in common.
RETURNS = {"BSYNC": "BSSY", "SYNC": "SSY", "BRK": "PBK", "CONT": "PCNT"}


class Instruction:
    def __init__(self, address, text):
        guard = GUARD.match(text)
        text = text[guard.end():] if guard else text
        name, _, self.operands = text.partition(" ")
        self.address, self.name = address, name.split(".")[0]
        self.always = (not guard or guard[1] == "PT") and not self.operands.startswith(("P", "!P", "~", "UR"))
        self.target = None


def functions(text):
    """Name to instructions, in the order of their addresses."""
    found, code, labels, pending = {}, None, {}, []
    for line in text.splitlines():
        start, label, at = FUNCTION.match(line), LABEL.match(line), ADDRESS.match(line)
        if start:
            code = found.setdefault(start[1] or start[2], [])
        elif label:
            pending.append(label[1])
        elif at and code is not None:
            body = at[2].split(";")[0].strip(" {}\t")
            if not body or body.startswith("/*"):
                continue
            code.append(Instruction(int(at[1], 16), body))
            labels.update((name, (id(code), code[-1].address)) for name in pending)
            pending = []
    for code in found.values():
        link(code, {name: address for name, (owner, address) in labels.items() if owner == id(code)})
    return found


def link(code, labels):
    """Gives each jump its target; one that leaves the function has none."""
    known, setters = {i.address for i in code}, {}
    for i in code:
        named = re.findall(r"`\(([^)]+)\)|\b0x([0-9a-f]+)\b", i.operands)
        target = None
        if named:
            target = labels.get(named[-1][0]) if named[-1][0] else int(named[-1][1], 16)
        barrier = i.operands.split(",")[0].strip() if i.name in ("BSSY", "BSYNC") else ""
        if i.name in RETURNS.values():
            setters[i.name, barrier] = target
        elif i.name in RETURNS:
            i.target = setters.get((RETURNS[i.name], barrier))
        elif i.name in ("BRA", "JMP"):
            i.target = target
        if i.target not in known:  # before sm_70 a label may stand at the scheduling word in front
            i.target = i.target + 8 if i.target is not None and i.target + 8 in known else None


def successors(code):
    """For each instruction the indices of those that can come next."""
    at = {i.address: n for n, i in enumerate(code)}
    result = []
    for n, i in enumerate(code):
        jumps = i.name in ("BRA", "JMP") or i.name in RETURNS and i.target is not None
        ends = i.always and (jumps or i.name in ("EXIT", "RET"))
        taken = [at[i.target]] if jumps and i.target is not None else []
        result.append(taken + [n + 1] * (not ends and n + 1 < len(code)))
    return result


def blocks(code):
    """Basic blocks as ranges of indices, and the edges between them."""
    next_of = successors(code)
    leaders = {0} | {s for n, all in enumerate(next_of) if all != [n + 1] for s in all + [n + 1]}
    starts = sorted(n for n in leaders if n < len(code))
    ranges = list(zip(starts, starts[1:] + [len(code)]))
    index = {start: b for b, start in enumerate(starts)}
    return ranges, [[index[s] for s in next_of[end - 1]] for _, end in ranges]


def loops(code):
    """Natural loops as sets of instruction indices, one for each header."""
    ranges, edges = blocks(code)
    before = [[] for _ in ranges]
    for b, all in enumerate(edges):
        for s in all:
            before[s].append(b)
    everything = (1 << len(ranges)) - 1
    dominators, changed = [1] + [everything] * (len(ranges) - 1), True
    while changed:
        changed = False
        for b in range(1, len(ranges)):
            common = everything
            for p in before[b]:
                common &= dominators[p]
            if common | 1 << b != dominators[b]:
                dominators[b], changed = common | 1 << b, True
    bodies = {}
    for b, all in enumerate(edges):
        for header in all:
            if dominators[b] >> header & 1 and dominators[b] != everything:
                body, todo = bodies.setdefault(header, {header}), [b]
                while todo:
                    inner = todo.pop()
                    if inner not in body:
                        body.add(inner)
                        todo += before[inner]
    return [{n for b in body for n in range(*ranges[b])} for body in bodies.values()]


def main_loop(code):
    """Instructions of the main loop by name, and of the loop around it; None where no loop multiplies and adds."""
    if not code:
        return None
    counted = [(loop, sum(code[n].name in FFMA for n in loop)) for loop in loops(code)]
    counted = [(loop, ffma) for loop, ffma in counted if ffma]
    inner = [(ffma, loop) for loop, ffma in counted if not any(other < loop for other, _ in counted)]
    if not inner:
        return None
    ffma, loop = max(inner, key=lambda pair: pair[0])
    around = min((other for other, _ in counted if loop < other), key=len, default=None)
    return {**count(code, loop), "around": count(code, around) if around else None}


def count(code, loop):
    names = Counter(code[n].name for n in loop if code[n].name != "NOP")
    total, ffma = sum(names.values()), sum(names[name] for name in FFMA)
    return {"instructions": total, "ffma": ffma, "share": ffma / total, "names": dict(names.most_common())}
