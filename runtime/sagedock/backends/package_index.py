"""pip's package index, said in uv's words.

uv does not read pip's configuration. Who has set pip up for a mirror (a company's index, a machine
without the internet) expects it to hold here too. What uv was told itself always wins.
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

_OWN_WORD = {
    "index-url": ("UV_DEFAULT_INDEX", "UV_INDEX_URL"),
    "extra-index-url": ("UV_INDEX", "UV_EXTRA_INDEX_URL"),
    "find-links": ("UV_FIND_LINKS",),
}
"""pip's setting → the variable that means the same to uv, and older names of it."""


def uv_variables(environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """What uv has to be told besides `environment`, so that it looks where pip looks.

    pip's files and their order: pip's documentation, "Configuration"; a variable PIP_<SETTING>
    beats them all.
    """
    settings = _settings(environment, home)
    told: dict[str, str] = {}
    for setting, (word, *older) in _OWN_WORD.items():
        value = settings.get(setting)
        if value and not any(name in environment for name in (word, *older)):
            separator = "," if setting == "find-links" else " "
            told[word] = separator.join(value.split())
    if "UV_INDEX" in told and "UV_INDEX_STRATEGY" not in environment:
        # As pip chooses: the best version of all indexes, not the first index that has any.
        told["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return told


def pip_variables(environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """pip's indexes as variables, for a pip that sees none of this machine's files: those that are
    elsewhere, for an address of this machine leads nowhere from a container."""
    settings = _settings(environment, home)
    told = {}
    for setting in ("index-url", "extra-index-url", "trusted-host"):
        values = [value for value in settings.get(setting, "").split() if _is_elsewhere(value)]
        if values:
            told["PIP_" + setting.upper().replace("-", "_")] = " ".join(values)
    return told


def _is_elsewhere(address: str) -> bool:
    """A host name or an http address that is not this machine's own."""
    scheme, separator, rest = address.rpartition("://")
    host = rest.rpartition("@")[2].partition("/")[0].partition(":")[0]
    is_web = not separator or scheme in ("http", "https")
    return is_web and host not in ("localhost", "") and not host.startswith("127.")


def _settings(environment: Mapping[str, str], home: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for file in _files(environment, home):
        parser = configparser.RawConfigParser()
        try:
            parser.read(file, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue  # pip itself will complain about it
        for section in ("global", "install"):
            if parser.has_section(section):
                found.update(parser.items(section))
    for setting in (*_OWN_WORD, "trusted-host"):
        value = environment.get("PIP_" + setting.upper().replace("-", "_"))
        if value:
            found[setting] = value
    return found


def _files(environment: Mapping[str, str], home: Path) -> Iterator[Path]:
    """pip's configuration files, the weakest first."""
    named = environment.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return
    config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    yield from (Path("/etc/xdg/pip/pip.conf"), Path("/etc/pip.conf"))
    yield from (home / ".pip" / "pip.conf", config / "pip" / "pip.conf")
    if environment.get("VIRTUAL_ENV"):
        yield Path(environment["VIRTUAL_ENV"]) / "pip.conf"
    if named:
        yield Path(named)
