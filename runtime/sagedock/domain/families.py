"""Image families: records of what stands for an image, and their table.

The families are data. The built-in ones are `families.toml` beside this module; a home's
`images.toml` has further ones in the same form, and rows that lead an image's name to another
image. A table that cannot be right is refused with its file, the key and what would do.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from sagedock.errors import StartupError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Device = Literal["cpu", "gpu"]
DEVICES: Final[tuple[Device, ...]] = ("cpu", "gpu")

_BUILTIN: Final = Path(__file__).with_name("families.toml")
_NAME: Final = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")
_RELEASE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.]*")
_PYTHON: Final = re.compile(r"3\.\d+")


@dataclass(frozen=True, slots=True)
class Environment:
    """What a family's environment of the process backend is made of: requirements files by Python
    version, the best Python first; the module whose import shows that it works; the Python that
    is a makeshift; and the systems that its packages exist for (none named: all)."""

    requirements: tuple[tuple[str, str], ...] = ()
    probe: str = ""
    fallback: str = ""
    platforms: tuple[str, ...] = ()

    @property
    def pythons(self) -> tuple[str, ...]:
        return tuple(python for python, _ in self.requirements)


@dataclass(frozen=True, slots=True)
class ImageFamily:
    """Images that one environment of ours, or one image per device, stands for.

    `repositories` are ours and AWS's, without registry; `versions` are the tags' versions, and
    `short_versions` what the SDKs' "1.2" means. A family without versions takes its repository
    alone, the tag `latest`, or the tags of its own images. `release` is what is really in it.
    Files are named from `folder`; None stands for the containers that come with sagedock.
    """

    name: str
    description: str
    release: str
    repositories: tuple[str, ...]
    versions: tuple[str, ...] = ()
    default_version: str = ""
    short_versions: tuple[tuple[str, str], ...] = ()
    default_python: str = "py3"
    environment: Environment = Environment()
    dockerfiles: tuple[tuple[Device, str], ...] = ()
    folder: Path | None = None

    @property
    def alias(self) -> str:
        """Our own name for it, which works without AWS's registry."""
        return f"sagedock/{self.name}"

    def version(self, tag: str) -> str | None:
        """The full version that `tag` begins with, the default one for no tag and `latest`; None
        where the tag names none that there was."""
        if tag in ("", "latest"):
            return self.default_version
        asked = tag.split("-")[0]
        if not self.versions:
            own = {self.release, *(f"{self.release}-{device}" for device in DEVICES)}
            return self.default_version if tag in own else None
        full = dict(self.short_versions).get(asked, asked)
        return full if full in self.versions else None

    def device(self, asked: Device) -> Device:
        """The device of the image that stands for `asked`: a family without an image for GPUs has
        its CPU image do."""
        return asked if asked in dict(self.dockerfiles) else "cpu"

    def engine_tag(self, device: Device) -> str:
        """The image of ours that a Docker engine runs for `device`."""
        return f"{self.alias}:{self.release}-{self.device(device)}"


@dataclass(frozen=True, slots=True)
class Row:
    """`[[image]]` of a home's images.toml: whose name the pattern fits is run as `run`."""

    uri: str
    run: str


@functools.cache
def builtin_families() -> tuple[ImageFamily, ...]:
    return _Table(_BUILTIN, folder=None).families()


def read_table(path: Path) -> tuple[tuple[ImageFamily, ...], tuple[Row, ...]]:
    """All families with those of `path` last, and the rows of `path`; a file that is not there
    adds nothing. Raises StartupError for one that cannot be right."""
    builtin = builtin_families()
    if not path.exists():
        return builtin, ()
    table = _Table(path, folder=path.parent)
    further = table.families()
    _refuse_doubles(path, builtin, further)
    return (*builtin, *further), table.rows()


def _refuse_doubles(
    path: Path, builtin: Iterable[ImageFamily], further: Iterable[ImageFamily]
) -> None:
    owner = {name: family for family in builtin for name in family.repositories}
    for family in further:
        for name in family.repositories:
            if name in owner:
                raise StartupError(
                    f"{path}: [family.{family.name}] has the repository {name!r}, which is the "
                    f"family {owner[name].name}'s. Name the family otherwise, leave the repository "
                    "out, or lead single images elsewhere with [[image]] rows."
                )
            owner[name] = family


class _Table:
    """One TOML file, read key by key; every complaint names the file and the key."""

    def __init__(self, path: Path, folder: Path | None) -> None:
        self.path, self.folder = path, folder
        try:
            self.content: Mapping[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise StartupError(
                f"{path} cannot be read ({error}). Make it a readable text file, or remove it."
            ) from error
        except tomllib.TOMLDecodeError as error:
            raise StartupError(
                f"{path} is not TOML: {error}. Mend that place; strings need quotes, a family "
                "begins with [family.NAME], a row with [[image]]."
            ) from error
        self._known(self.content, "", ("family", "image"))

    def families(self) -> tuple[ImageFamily, ...]:
        tables = self._get(self.content, "", "family", dict, {})
        return tuple(self._family(name, table) for name, table in tables.items())

    def rows(self) -> tuple[Row, ...]:
        found = []
        for number, table in enumerate(self._get(self.content, "", "image", list, []), start=1):
            key = f"image[{number}]"
            if not isinstance(table, dict):
                raise self._wrong(key, table, "begin each row with [[image]]")
            self._known(table, key, ("uri", "run"))
            row = Row(self._text(table, key, "uri"), self._text(table, key, "run"))
            found.append(row)
        return tuple(found)

    def _family(self, name: str, table: object) -> ImageFamily:
        key = f"family.{name}"
        if not isinstance(table, dict):
            raise self._wrong(key, table, f"begin a family with [{key}]")
        if not _NAME.fullmatch(name):
            raise self._wrong(key, name, "a name has small letters, digits, '-', '_' and '.'")
        known = (
            *("description", "release", "repositories", "versions", "default_version"),
            *("short_versions", "default_python", "environment", "docker"),
        )
        self._known(table, key, known)
        versions = self._texts(table, key, "versions")
        default = self._text(table, key, "default_version", versions[-1] if versions else "")
        if default and default not in versions:
            said = f"name one of versions ({', '.join(versions) or 'there are none'})"
            raise self._wrong(f"{key}.default_version", default, said)
        release = self._text(table, key, "release", default or "1")
        if not _RELEASE.fullmatch(release):
            raise self._wrong(f"{key}.release", release, "it becomes a tag: letters, digits, '.'")
        return ImageFamily(
            name=name,
            description=self._text(table, key, "description", name),
            release=release,
            repositories=(f"sagedock/{name}", *self._texts(table, key, "repositories")),
            versions=versions,
            default_version=default,
            short_versions=self._pairs(table, key, "short_versions"),
            default_python=self._text(table, key, "default_python", "py3"),
            environment=self._environment(table, key),
            dockerfiles=self._dockerfiles(table, key),
            folder=self.folder,
        )

    def _environment(self, family: Mapping[str, Any], above: str) -> Environment:
        table = self._get(family, above, "environment", dict, {})
        key = f"{above}.environment"
        self._known(table, key, ("requirements", "probe", "fallback", "platforms"))
        files = []
        for entry in self._get(table, key, "requirements", list, []):
            form = 'write entries as { python = "3.11", file = "requirements.txt" }'
            if not isinstance(entry, dict) or set(entry) != {"python", "file"}:
                raise self._wrong(f"{key}.requirements", entry, form)
            python, file = entry["python"], entry["file"]
            if not isinstance(python, str) or not _PYTHON.fullmatch(python):
                raise self._wrong(f"{key}.requirements.python", python, form)
            files.append((python, self._file(file, f"{key}.requirements.file")))
        return Environment(
            requirements=tuple(files),
            probe=self._text(table, key, "probe", ""),
            fallback=self._text(table, key, "fallback", ""),
            platforms=self._texts(table, key, "platforms"),
        )

    def _dockerfiles(self, family: Mapping[str, Any], above: str) -> tuple[tuple[Device, str], ...]:
        table = self._get(family, above, "docker", dict, {})
        key = f"{above}.docker"
        self._known(table, key, DEVICES)
        return tuple(
            (device, self._dockerfile(table[device], f"{key}.{device}"))
            for device in DEVICES
            if device in table
        )

    def _dockerfile(self, name: object, key: str) -> str:
        """Its folder is what a build sends to the engine, so it must not be the whole home."""
        file = self._file(name, key)
        if len(Path(file).parts) < 2:
            raise self._wrong(key, name, "the build takes its whole folder: give it one of its own")
        return file

    def _file(self, name: object, key: str) -> str:
        """A path of a user's table is looked at now, where its key can still be told."""
        if not isinstance(name, str) or not name:
            raise self._wrong(key, name, "name a file")
        if self.folder is not None and not (self.folder / name).is_file():
            raise self._wrong(key, name, f"there is no such file in {self.folder}; create it")
        return name

    def _pairs(
        self, table: Mapping[str, Any], above: str, name: str
    ) -> tuple[tuple[str, str], ...]:
        pairs = self._get(table, above, name, dict, {})
        for short, full in pairs.items():
            if not isinstance(full, str):
                raise self._wrong(f"{above}.{name}.{short}", full, 'write it as "1.2" = "1.2.1"')
        return tuple(pairs.items())

    def _texts(self, table: Mapping[str, Any], above: str, name: str) -> tuple[str, ...]:
        texts = self._get(table, above, name, list, [])
        for text in texts:
            if not isinstance(text, str):
                raise self._wrong(f"{above}.{name}", text, "every entry is a string in quotes")
        return tuple(texts)

    def _text(
        self, table: Mapping[str, Any], above: str, name: str, default: str | None = None
    ) -> str:
        text: str = self._get(table, above, name, str, default)
        if not text and default is None:
            raise self._wrong(f"{above}.{name}", text, "it must not be empty")
        return text

    def _get(
        self, table: Mapping[str, Any], above: str, name: str, kind: type, default: Any
    ) -> Any:
        key = f"{above}.{name}" if above else name
        value = table.get(name, default)
        if value is None:
            raise StartupError(f"{self.path}: {key} is missing. Add it; see docs/images.md.")
        if not isinstance(value, kind):
            words = {"str": "a string in quotes", "list": "a list in [ ]", "dict": f"[{key}]"}
            raise self._wrong(key, value, f"it has to be {words[kind.__name__]}")
        return value

    def _known(self, table: Mapping[str, Any], above: str, names: Iterable[str]) -> None:
        for name in table:
            if name not in names:
                key = f"{above}.{name}" if above else name
                raise StartupError(
                    f"{self.path}: {key} means nothing. Known here: {', '.join(names)}."
                )

    def _wrong(self, key: str, value: object, fix: str) -> StartupError:
        return StartupError(f"{self.path}: {key} is {value!r}: {fix}.")
