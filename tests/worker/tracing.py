"""Which branches of ours ran, told from inside workerd, where coverage.py can't be.

Law: the arcs are coverage.py's own (a line after a line, a negative one for going in or out), so
that they add to what the other tests measured.
"""

import json
import sys
from collections import defaultdict

PACKAGES = ("openbolt/", "openbolt_cloudflare/", "openbolt_local/")
_RESUMES = 0x20 | 0x80 | 0x200  # code flags of generators, coroutines and async generators

arcs = defaultdict(set)


def start():
    """Watch every call from now on."""
    sys.settrace(_enter)


def report():
    """All arcs so far, as JSON: pairs of lines by the path below ``src``."""
    return json.dumps({name: sorted(pairs) for name, pairs in arcs.items()})


def _enter(frame, event, argument):
    path = frame.f_code.co_filename.removeprefix("/session/metadata/")
    if not path.startswith(PACKAGES):
        return None
    found = arcs[path]
    entry = -frame.f_code.co_firstlineno
    resumed = frame.f_code.co_flags & _RESUMES and frame.f_lasti > _first_offset(frame.f_code)
    last = frame.f_lineno if resumed else entry

    def watch(frame, event, argument):
        nonlocal last
        if event == "line":
            found.add((last, frame.f_lineno))
            last = frame.f_lineno
        elif event == "return" and not _is_yielding(frame):
            found.add((last, entry))
        return watch

    return watch


def _first_offset(code):
    """Where a generator stands when it has been made and not yet run."""
    from dis import opmap

    resume = code.co_code.find(bytes([opmap["RESUME"]]))
    return resume


def _is_yielding(frame):
    from dis import opmap

    code = frame.f_code.co_code
    return code[frame.f_lasti] == opmap["YIELD_VALUE"]
