"""One more line for errors whose own text does not say what to do.

The user's error is never changed: the line follows it, in the log and in output/failure.
"""

from __future__ import annotations

import os
import platform
import re

_PYTHON_2_SYNTAX = re.compile(
    r"SyntaxError: (Missing parentheses in call to|invalid (decimal|hexadecimal) literal"
    r"|multiple exception types must be parenthesized|leading zeros in decimal"
    r"|invalid token|Generator expression must be parenthesized)"
    r"|TabError: inconsistent use of tabs"
)
_PYTHON_2_NAMES = re.compile(
    r"NameError: name '(xrange|unicode|raw_input|basestring|long|unichr|reduce|cmp|execfile)'"
    r"|has no attribute '(has_key|iteritems|itervalues|iterkeys)'"
    r"|No module named '(urllib2|urlparse|cPickle|cStringIO|StringIO|Queue|ConfigParser|httplib)'"
)
_INTEGER_DIVISION = re.compile(
    r"TypeError: ('float' object cannot be interpreted as an integer"
    r"|slice indices must be integers|list indices must be integers or slices, not float)"
)
_STOP_ITERATION = re.compile(r"RuntimeError: generator raised StopIteration")
_COLLECTIONS = re.compile(r"AttributeError: module 'collections' has no attribute '(\w+)'")
_NO_GPU = re.compile(
    r"GPU is not enabled|GPU usage requires at least 1 GPU|is not implemented for GPU"
)
_NO_DISTRIBUTED = re.compile(r"compile with USE_DIST_KVSTORE")


def explain(error_text: str) -> str:
    """One line on the error at the end of `error_text` (a traceback), or an empty string."""
    python = f"Python {platform.python_version()}"
    last = error_text[-2000:]
    if _PYTHON_2_SYNTAX.search(last) or _PYTHON_2_NAMES.search(last):
        return f"This is Python 2 code, and it runs on {python} here (there is no Python 2 image)."
    if "SyntaxError: " in last and asked_for_python_2():
        return f"A py2 image was asked for; the script runs on {python}, which refuses this syntax."
    if _INTEGER_DIVISION.search(last):
        return (
            f"On {python} 7 / 2 is 3.5; Python 2 gave 3. Where a whole number is meant, write //."
        )
    if _STOP_ITERATION.search(last):
        return "Since Python 3.7 a generator ends with return, not with raise StopIteration."
    moved = _COLLECTIONS.search(last)
    if moved:
        return f"Since Python 3.10 it is collections.abc.{moved.group(1)}."
    if _NO_GPU.search(last):
        return (
            "There is no GPU here. With SAGEDOCK_GPU=auto (the default) scripts that ask for one "
            "run on the CPU; in the cloud this one needs a GPU instance."
        )
    if _NO_DISTRIBUTED.search(last):
        return "This build of MXNet has no distributed key-value store (dist_*)."
    return ""


def asked_for_python_2() -> bool:
    """Whether the image tag named py2 (SAGEDOCK_PY2)."""
    return bool(os.environ.get("SAGEDOCK_PY2"))
