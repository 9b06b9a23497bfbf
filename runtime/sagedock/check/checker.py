"""One check: which rules look at what, and what they find."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sagedock.check.findings import Finding, Looked, Report
from sagedock.check.rules.rule import Kind, Rule
from sagedock.check.rules.shelves import rules_of
from sagedock.check.subjects.hit import Hit
from sagedock.check.subjects.script import Script, read
from sagedock.check.target import Target

if TYPE_CHECKING:
    # Who hands one over has loaded what reads it; a check of a script does without.
    from sagedock.backends.docker.image_contents import ImageContents
    from sagedock.check.subjects.archive import Archive
    from sagedock.check.subjects.request import Request

_NOQA = re.compile(r"#\s*noqa:\s*([A-Z0-9, ]+)")


SERVED_RULES = frozenset(
    ("SD107", "SD108", "SD111", "SD112", "SD113", "SD116", "SD117", "SD130", "SD131", "SD132",
     "SD133", "SD134", "SD135", "SD136", "SD140")
)  # fmt: skip
"""Rules on scripts that also hold for code/ of an archive, which is imported and not run."""

_LAST_VERSION = "1.9.0"


@dataclass(frozen=True, slots=True)
class Choice:
    """Ids of the rules that look (all but the ignored where None) and of those only warned of."""

    select: frozenset[str] | None = None
    ignore: frozenset[str] = frozenset()
    warn: frozenset[str] = frozenset()

    def takes(self, rule: Rule[Any]) -> bool:
        return (self.select is None or rule.id in self.select) and rule.id not in self.ignore


@dataclass
class Checker:
    """Collects what rules find, subject by subject; `report` is all of it."""

    target: Target = field(default_factory=Target)
    choice: Choice = field(default_factory=Choice)
    bodies: tuple[Request, ...] = ()
    """Requests that were looked at: what is run may be told by them."""
    _findings: set[Finding] = field(default_factory=set)
    _looked: list[Looked] = field(default_factory=list)
    _told: dict[str, Any] = field(default_factory=dict)
    _files: list[str] = field(default_factory=list)
    _not_run: list[str] = field(default_factory=list)

    def scripts(
        self, path: Path, entry_point: str | None = None, target: Target | None = None
    ) -> list[Script]:
        """Look at the script or folder; nothing of it is run. `target` where more is known of it
        than of the rest. Raises CheckError where there is nothing to look at."""
        scripts = read(path, entry_point)
        target = target or self.target
        for script in scripts:
            self.look("script", script, script.entry.file, target)
        self._told["path"] = path.as_posix()
        self._told["entry_points"] = [script.entry.file for script in scripts]
        self._told["contracts"] = [
            target.generation(script.entry) or "unknown" for script in scripts
        ]
        self._files += [module.file for script in scripts for module in script.modules]
        return scripts

    def requests(self, requests: Sequence[Request]) -> None:
        """Look at the bodies of requests, each alone and all together."""
        for request in requests:
            self.look("request", request, request.file)
        self.bodies += tuple(requests)
        self._told["requests"] = {request.file: request.operation for request in requests}
        self._files += [request.file for request in requests]

    def archive(self, archive: Archive) -> None:
        """Look into a model.tar.gz; nothing is unpacked."""
        self.look("artifact", archive, archive.file)
        self._told["model"] = archive.file
        self._files.append(archive.file)
        code = archive.code
        if code is not None and (self.target.framework_version or "mxnet" in code.packages):
            with archive.unpacked_code() as script:
                self._served_code(script, code.file)

    def image(self, image: ImageContents) -> None:
        """Look at a container image; nothing of it is run."""
        self.look("image", image, image.name)
        self._told["image"] = {
            "name": image.name,
            "architecture": image.architecture,
            "engine_architecture": image.machine,
            "entrypoint": list(image.entrypoint),
            "programs": [name for name, problem in image.programs.items() if problem is None],
        }

    def _served_code(self, script: Script, name: str) -> None:
        """The rules on what an endpoint imports, at an archive's own code."""
        version = self.target.framework_version or _LAST_VERSION
        target = replace(self.target, framework_version=version)
        for rule in rules_of("script"):
            if rule.id in SERVED_RULES and self.choice.takes(rule):
                self._judge(rule, script, name, target)

    def skip(self, kind: Kind, name: str, why: str, *, wanted: bool = False) -> None:
        """Say of all chosen rules of a kind why they did not look; `wanted` where they were asked
        to, so that a check that finds nothing else is no success."""
        if wanted:
            self._not_run.append(f"{name}: {why}")
        for rule in rules_of(kind):
            if self.choice.takes(rule):
                self._looked.append(Looked(rule.id, name, why))

    def tell(self, name: str, value: object) -> None:
        """Add to what the report says of the target."""
        self._told[name] = value

    def look(self, kind: Kind, subject: Any, name: str, target: Target | None = None) -> None:
        """All chosen rules of a kind at one subject."""
        for rule in rules_of(kind):
            if self.choice.takes(rule):
                self._judge(rule, subject, name, target or self.target)

    def _judge(self, rule: Rule[Any], subject: Any, name: str, target: Target) -> None:
        skipped = rule.skips(subject, target)
        self._looked.append(Looked(rule.id, name, skipped))
        if not skipped:
            self._findings.update(self._found(rule, subject, target))

    def _found(self, rule: Rule[Any], subject: Any, target: Target) -> Iterator[Finding]:
        for hit in rule.check(subject, target):
            allowed = _NOQA.search(hit.source) if rule.kind == "script" else None
            if allowed is not None and rule.id in re.split(r"[,\s]+", allowed[1]):
                continue
            yield self._finding(rule, hit)

    def _finding(self, rule: Rule[Any], hit: Hit) -> Finding:
        level = hit.level or rule.level
        return Finding(
            rule=rule.id,
            name=rule.name,
            level="warning" if level == "error" and rule.id in self.choice.warn else level,
            file=hit.file,
            line=hit.line,
            column=hit.column,
            message=hit.message,
            cloud=rule.cloud,
            fix=rule.fix,
            url=rule.url,
            source=hit.source,
            pointer=hit.pointer,
        )

    @property
    def report(self) -> Report:
        ordered = sorted(self._findings, key=lambda f: (f.file, f.line, f.column, f.rule))
        target = self.target
        told = {
            **self._told,
            "files": list(dict.fromkeys(self._files)),
            "framework_version": target.framework_version,
            "instance_type": target.instance_type,
            "channels": None if target.channels is None else list(target.channels),
        }
        not_run = tuple(dict.fromkeys(self._not_run))
        return Report(tuple(ordered), tuple(self._looked), told, not_run)


def check(
    path: Path,
    *,
    entry_point: str | None = None,
    target: Target | None = None,
    choice: Choice | None = None,
) -> Report:
    """The static rules on the script or folder; nothing of it is run. Raises CheckError where
    there is nothing to look at."""
    checker = Checker((target or Target()).validated(), choice or Choice())
    checker.scripts(path, entry_point)
    return checker.report
