"""pip's configuration in uv's words."""

from __future__ import annotations

from pathlib import Path

from sagedock.backends.package_index import uv_variables


def _configured(home: Path, text: str) -> dict[str, str]:
    file = home / "own.conf"
    file.write_text(text, encoding="utf-8")
    return {"PIP_CONFIG_FILE": str(file)}


def test_a_mirror_that_pip_is_set_up_for_is_uvs_too(tmp_path: Path) -> None:
    environment = _configured(
        tmp_path,
        "[global]\nindex-url = https://mirror.example/simple\n"
        "extra-index-url =\n    https://a.example/simple\n    https://b.example/simple\n",
    )

    told = uv_variables(environment, tmp_path)

    assert told["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert told["UV_INDEX"] == "https://a.example/simple https://b.example/simple"
    assert told["UV_INDEX_STRATEGY"] == "unsafe-best-match"


def test_pips_variable_beats_its_file_and_uvs_own_word_beats_both(tmp_path: Path) -> None:
    environment = _configured(tmp_path, "[global]\nindex-url = https://file.example/simple\n")
    environment["PIP_INDEX_URL"] = "https://variable.example/simple"
    assert uv_variables(environment, tmp_path)["UV_DEFAULT_INDEX"].startswith("https://variable.")

    environment["UV_INDEX_URL"] = "https://uv.example/simple"
    assert "UV_DEFAULT_INDEX" not in uv_variables(environment, tmp_path)


def test_a_file_that_pip_could_not_read_either_says_nothing(tmp_path: Path) -> None:
    assert "UV_DEFAULT_INDEX" not in uv_variables(_configured(tmp_path, "no section"), tmp_path)
