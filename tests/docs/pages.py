"""Markdown pages as data: their fences, links, and the script that runs their commands.

A fence's meaning is in the HTML comment right above it: `<!-- file: NAME -->` has a python fence
written to NAME; `<!-- run -->` has it executed; `sdk: v1` says that it needs a SageMaker SDK;
`<!-- stop -->` stops the emulator first.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!-- (.*?) -->\s*\Z")
_LINK = re.compile(r"\]\(([^)\s]+)\)")

_SERVE = """\
sagedock serve{options} 2> serve.log & SERVER=$!
until [ -s "$SAGEDOCK_HOME/address.json" ]; do kill -0 $SERVER; sleep 0.05; done
"""
_STOP = "kill -TERM $SERVER; wait $SERVER; SERVER=\n"
_FRAME = """\
set -euo pipefail
SERVER=
trap 'echo "failed: $BASH_COMMAND" >&2; tail -n 20 serve.log >&2 || true' ERR
trap '[ -z "$SERVER" ] || kill -TERM $SERVER; wait' EXIT
{body}
"""


@dataclass(frozen=True)
class Fence:
    """One fenced block; `notes` are those of its comment, `name` → value."""

    page: Path
    line: int
    language: str
    text: str
    notes: dict[str, str]

    @property
    def commands(self) -> list[str]:
        """Of a sh fence: its lines without comments."""
        return [line for raw in self.text.splitlines() if (line := _without_comment(raw))]


def fences(page: Path) -> Iterator[Fence]:
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        comment = _COMMENT.search(text[: found.start()])
        notes = dict(_note(part) for part in comment[1].split("; ")) if comment else {}
        line = text.count("\n", 0, found.start()) + 1
        yield Fence(page, line, found[1], found[2], notes)


def links(page: Path) -> Iterator[str]:
    """Targets of links to files, without the anchor; `#anchor` alone is left out."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in _LINK.findall(text):
        if not target.startswith(("http://", "https://", "#")):
            yield target.partition("#")[0]


def script(page: Path, folder: Path, left_out: dict[str, str]) -> str:
    """A bash script of the page's commands, in order; its files are written into `folder`."""
    body: list[str] = []
    for fence in fences(page):
        if "stop" in fence.notes:
            body.append(_STOP)
        if fence.language == "sh":
            body += [_shell(command) for command in fence.commands if command not in left_out]
        elif "file" in fence.notes:
            (folder / fence.notes["file"]).write_text(fence.text, encoding="utf-8")
        elif "run" in fence.notes:
            name = f"block_{fence.line}.py"
            (folder / name).write_text(fence.text, encoding="utf-8")
            # As a user has it: only the environments are shared.
            body.append(f"env -u SAGEDOCK_HOME python {name}")
    return _FRAME.format(body="\n".join(body))


def _shell(command: str) -> str:
    """`sagedock serve` goes to the background: the page's next commands are another terminal's."""
    words = shlex.split(command)
    if words[:2] == ["sagedock", "serve"]:
        return _SERVE.format(options="".join(f" {shlex.quote(word)}" for word in words[2:]))
    return command


def _without_comment(line: str) -> str:
    return re.sub(r"(^|\s+)#\s.*$", "", line).strip()


def _note(part: str) -> tuple[str, str]:
    name, _, value = part.partition(":")
    return name.strip(), value.strip()
