"""One worker process: the user's code, and one request at a time over a socket pair.

Started by `processes` as `python -m sagedock_toolkit.worker ROLE DESCRIPTOR`, where ROLE is

worker
    load the user's code, then answer requests that come over DESCRIPTOR;
template
    load the user's code, then fork such a worker for every socket that comes over DESCRIPTOR.

The template loads and never predicts. What the user's `model_fn` leaves behind can make forking
unsafe: a thread does not exist in the child, and an open connection or file is shared by all
children. Then the template says so and works as a worker itself. One thing is different without
being unsafe: forked workers begin with one and the same state of numpy's random numbers.
"""

from __future__ import annotations

import array
import gc
import importlib
import logging
import os
import re
import signal
import socket
import sys
import threading
import time
import traceback
from typing import Union

from sagedock_toolkit import loading, parentage
from sagedock_toolkit.frames import ANSWER, ANSWERED, READY, REQUEST, UNLOADABLE, Meta
from sagedock_toolkit.handlers import Handler, Request

log = logging.getLogger(__name__)

_READ_BYTES = 64 * 1024
_HARMLESS = ("/dev/null", "/dev/random", "/dev/urandom")
Body = Union[bytes, memoryview]


def serve(link: socket.socket, handler: Handler) -> None:
    """Answer requests until the other end is closed."""
    pid = b"%d" % os.getpid()
    link.sendall(ANSWER.pack(READY, 0, len(pid)) + pid)
    metas: dict[bytes, Meta] = {}
    while True:
        frame = _receive(link)
        if frame is None:
            return
        encoded, body = frame
        meta = metas.get(encoded)
        if meta is None:
            if len(metas) > 512:
                metas.clear()
            meta = metas[encoded] = Meta.decode(encoded)
        answer = handler.answer(Request(meta, body))
        head = answer.head()
        prefix = ANSWER.pack(ANSWERED, len(head), len(answer.body)) + head
        if len(answer.body) <= _READ_BYTES:
            link.sendall(prefix + answer.body)
        else:
            link.sendall(prefix)
            link.sendall(answer.body)


def _receive(link: socket.socket) -> tuple[bytes, Body] | None:
    """The next request's meta data and body; None at the end. A large body is copied only once."""
    data = link.recv(_READ_BYTES)
    while 0 < len(data) < REQUEST.size:
        data = _more(link, data)
    if not data:
        return None
    meta_length, body_length = REQUEST.unpack_from(data)
    begin = REQUEST.size + meta_length
    while data and len(data) < begin:
        data = _more(link, data)
    end = begin + body_length
    if len(data) == end:
        return data[REQUEST.size : begin], data[begin:]
    if not data:
        return None
    body = memoryview(bytearray(body_length))
    filled = len(data) - begin
    body[:filled] = data[begin:]
    while filled < body_length:
        count = link.recv_into(body[filled:])
        if count == 0:
            return None
        filled += count
    return data[REQUEST.size : begin], body


def _more(link: socket.socket, data: bytes) -> bytes:
    """`data` and what comes next; empty when nothing comes any more."""
    more = link.recv(_READ_BYTES)
    return data + more if more else b""


def template(control: socket.socket, acceptor: int) -> None:
    """Load, say whether forking is safe, and fork a worker for every socket that comes."""
    before = _descriptors()
    handler = _load()
    if handler is None:
        control.sendall(b"unloadable\n")
        return
    reason = _why_not_fork(before)
    control.sendall(b"alone: %s\n" % reason.encode() if reason else b"forkable\n")
    gc.collect()
    gc.freeze()  # the collector would write to every object and so copy every shared page
    while True:
        link = _receive_socket(control)
        if link is None:
            return
        if reason:
            control.close()
            serve(link, handler)
            return
        _fork(control, link, handler, acceptor)
        link.close()


def _fork(control: socket.socket, link: socket.socket, handler: Handler, acceptor: int) -> None:
    """Fork twice: the worker's parent ends at once, so that the acceptor inherits the worker."""
    between = os.fork()
    if between:
        os.waitpid(between, 0)
        return
    middle = os.getpid()
    if os.fork():
        os._exit(0)
    status = 1
    try:
        control.close()
        while os.getppid() == middle:
            time.sleep(0.0002)
        parentage.die_with(acceptor)
        serve(link, handler)
        status = 0
    except SystemExit as ending:
        status = ending.code if isinstance(ending.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _receive_socket(control: socket.socket) -> socket.socket | None:
    descriptors = array.array("i")
    data, ancillary, _, _ = control.recvmsg(1, socket.CMSG_SPACE(descriptors.itemsize))
    if not data:
        return None
    descriptors.frombytes(ancillary[0][2][: descriptors.itemsize])
    return socket.socket(fileno=descriptors[0])


def _descriptors() -> dict[str, str]:
    """Open files, sockets, pipes and devices; empty where the system does not tell."""
    found = {}
    try:
        for number in os.listdir("/proc/self/fd"):
            try:
                found[number] = os.readlink("/proc/self/fd/" + number)
            except OSError:  # the descriptor of the listing itself, closed by now
                continue
    except OSError:
        return {}
    return found


def _why_not_fork(before: dict[str, str]) -> str:
    """What the user's code left behind that a forked worker could not work with; "": nothing."""
    if threading.active_count() > 1:
        names = [t.name for t in threading.enumerate() if t is not threading.main_thread()]
        return "threads run after model_fn: " + ", ".join(names)
    after = _descriptors()
    opened = sorted({name for number, name in after.items() if before.get(number) != name})
    opened = [name for name in opened if name not in _HARMLESS]
    if opened:
        return "model_fn left open: " + ", ".join(opened)
    if os.environ.get("OMP_NUM_THREADS") != "1" and _has_openmp():
        # Seen with MXNet 1.9.1 and two OpenMP threads: with the NaiveEngine the child waits for
        # ever for threads that only its parent has.
        return "several OpenMP threads do not survive it (OMP_NUM_THREADS is {})".format(
            os.environ.get("OMP_NUM_THREADS")
        )
    return ""


def _has_openmp() -> bool:
    """Whether an OpenMP library is loaded: GNU's, LLVM's or Intel's."""
    try:
        with open("/proc/self/maps") as file:
            return bool(re.search(r"/lib(g|i)?omp", file.read()))
    except OSError:
        return True


def _load() -> Handler | None:
    """The user's code, loaded; None when that failed and this generation's server ends then."""
    try:
        return loading.load(os.environ)
    except (Exception, SystemExit):
        log.exception("The user's code could not be loaded.")
        return None


def main(role: str, descriptor: int) -> None:
    """The process's life."""
    del sys.argv[1:]  # ours; a script that reads arguments on import would take them for its own
    acceptor = int(os.environ.pop("SAGEDOCK_ACCEPTOR"))
    parentage.die_with(acceptor)
    # Whoever stops us may signal the whole group; the acceptor decides when a worker ends, by
    # closing its socket. A handler, not SIG_IGN: that would be inherited by the user's commands.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    link = socket.socket(fileno=descriptor)
    link.set_inheritable(False)
    importlib.import_module("sagedock_toolkit.interpreter_start")  # stand-ins for lost packages
    loading.set_up_logging(os.environ)
    if role == "template":
        template(link, acceptor)
        return
    handler = _load()
    if handler is None:
        link.sendall(ANSWER.pack(UNLOADABLE, 0, 0))
        return
    serve(link, handler)
