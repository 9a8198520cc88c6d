"""Which branches of ours ran, told from inside workerd, where coverage.py can't be.

Law: the arcs are coverage.py's own (from line to line, negative for going in or out), so that they
add to what the other tests measured. Goes by the byte code of CPython 3.12.
"""

import json
import sys
from collections import defaultdict
from dis import opmap

ROOT = "/session/metadata/"
OURS = tuple(f"{ROOT}{name}/" for name in ("openbolt", "openbolt_cloudflare", "openbolt_local"))

_arcs = defaultdict(set)


def start():
    """Watch every call from now on."""
    sys.settrace(_enter)


def report():
    """All arcs so far, as JSON: pairs of lines by the path below ``src``."""
    return json.dumps({name: sorted(arcs) for name, arcs in _arcs.items()})


def _enter(frame, event, argument):
    code = frame.f_code
    if not code.co_filename.startswith(OURS):
        return None
    arcs = _arcs[code.co_filename.removeprefix(ROOT)]
    outside = -code.co_firstlineno
    is_new = code.co_code[frame.f_lasti + 1] == 0  # the kind of RESUME: a call, or going on
    last = outside if is_new else frame.f_lineno

    def watch(frame, event, argument):
        nonlocal last
        if event == "line" and code.co_code[frame.f_lasti] != opmap["PUSH_EXC_INFO"]:
            arcs.add((last, frame.f_lineno))
            last = frame.f_lineno
        elif event == "return" and not _will_go_on(code.co_code, frame.f_lasti):
            arcs.add((last, outside))
        return watch

    return watch


def _will_go_on(code, at):
    return at + 2 < len(code) and code[at + 2] == opmap["RESUME"]
