"""Rules on a model.tar.gz: can it be unpacked, and does MXNet's image find what it serves?"""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Callable
from dataclasses import dataclass

from sagedock.check.rules.rule import Rule, always
from sagedock.check.subjects.archive import (
    CODE,
    DEFAULT_FILES,
    PARAMETERS,
    SERVED,
    SHAPES,
    SYMBOL,
    Archive,
    plain,
)
from sagedock.check.subjects.hit import Hits
from sagedock.check.subjects.mxnet_files import symbol_of
from sagedock.check.target import Target

_WEIGHTS = (".params", ".pth", ".pt", ".pkl", ".joblib", ".h5", ".onnx", ".bin", ".pb", ".json")


@dataclass(frozen=True)
class ArtifactRule(Rule[Archive]):
    """Looks into an archive."""

    skips: Callable[[Archive, Target], str] = always

    kind = "artifact"
    language = "sh"


def _readable(archive: Archive, target: Target) -> str:
    return "cannot be unpacked: see SD301" if archive.trouble else ""


def archive_format(archive: Archive, target: Target) -> Hits:
    if archive.trouble:
        yield archive.hit("", archive.trouble)


def empty_archive(archive: Archive, target: Target) -> Hits:
    if not archive.files:
        yield archive.hit("", "the archive has no file in it")


def outside_member(archive: Archive, target: Target) -> Hits:
    for member in archive.members:
        if told := _leaves(member):
            yield archive.hit(member.name, told)


def _leaves(member: tarfile.TarInfo) -> str:
    if member.name.startswith("/"):
        return "the member has an absolute path"
    if posixpath.normpath(member.name).startswith(".."):
        return "the member lies above the archive's own folder"
    if member.issym() or member.islnk():
        around = posixpath.dirname(member.name) if member.issym() else ""
        target = posixpath.normpath(posixpath.join(around, member.linkname))
        if member.linkname.startswith("/") or target.startswith(".."):
            return f"a link to {member.linkname}, which is not in the archive"
        return ""
    if not (member.isreg() or member.isdir()):
        return "no file and no folder: a device, pipe or socket"
    return ""


def dangling_link(archive: Archive, target: Target) -> Hits:
    there = set(archive.names)
    for member in archive.members:
        if not (member.issym() or member.islnk()) or _leaves(member):
            continue
        around = posixpath.dirname(plain(member.name)) if member.issym() else ""
        aim = posixpath.normpath(posixpath.join(around, plain(member.linkname)))
        if aim not in there and not any(name.startswith(f"{aim}/") for name in there):
            yield archive.hit(member.name, f"a link to {member.linkname}, which is not there")


def wrong_level(archive: Archive, target: Target) -> Hits:
    """Everything lies in one folder, and what belongs to the root lies in it."""
    tops = {name.partition("/")[0] for name in archive.files if not _is_litter(name)}
    if len(tops) != 1 or CODE in tops:
        return
    (folder,) = tops
    inner = [name for name in archive.files if name.startswith(f"{folder}/")]
    deepest = _common(inner)
    if not inner:
        return
    expected = [*DEFAULT_FILES, f"{CODE}/{archive.entry}"]
    misplaced = [name for name in expected if f"{deepest}/{name}" in archive.files]
    weights = [name for name in inner if name.endswith(_WEIGHTS)]
    if (
        misplaced
        or (weights and len(inner) == len(weights))
        or f"{deepest}/{CODE}" in archive.names
    ):
        told = f"everything lies in {deepest}/: the image finds it in /opt/ml/model/{deepest}/"
        yield archive.hit(sorted(inner)[0], told)


def _common(names: list[str]) -> str:
    """The folder that all are in, the deepest one; code/ is the container's, and no such folder."""
    folder = posixpath.commonpath([posixpath.dirname(name) for name in names]) if names else ""
    parts = folder.split("/")
    return "/".join(parts[: parts.index(CODE)]) if CODE in parts else folder


def missing_code(archive: Archive, target: Target) -> Hits:
    wanted = f"{CODE}/{archive.entry}"
    if wanted in archive.files or _is_one_folder(archive):
        return
    elsewhere = [n for n in archive.files if posixpath.basename(n) == archive.entry]
    in_code = sorted(n for n in archive.files if n.startswith(f"{CODE}/") and n.endswith(".py"))
    if elsewhere:
        told = f"MXNet's image imports {wanted}, and the file lies here"
        yield archive.hit(sorted(elsewhere)[0], told)
    elif in_code:
        told = f"MXNet's image imports {wanted}, which is not there: {CODE}/ has "
        told += ", ".join(name.removeprefix(f"{CODE}/") for name in in_code[:4])
        yield archive.hit(in_code[0], told)
    else:
        told = f"there is no {wanted}; the SDK adds it when it deploys, a request by hand does not"
        yield archive.hit("", told, level="warning")


def _is_one_folder(archive: Archive) -> bool:
    return any(wrong_level(archive, Target()))


def default_files(archive: Archive, target: Target) -> Hits:
    code = archive.code
    if code is not None and code.tree is not None:
        own = {"model_fn", "transform_fn"} & (set(code.functions) | code.bound)
        if own or code.has_star_import:
            return
    there = [name for name in DEFAULT_FILES if name in archive.files]
    missing = [name for name in DEFAULT_FILES if name not in archive.files]
    if not missing or _is_one_folder(archive):
        return
    if there:
        told = f"beside {' and '.join(there)}, {' and '.join(missing)} is missing"
        yield archive.hit(there[0], told)
    elif code is not None:
        told = f"no model_fn here, and the default one needs {', '.join(missing)}"
        yield archive.hit(code.file, told)


def parts_that_fit(archive: Archive, target: Target) -> Hits:
    """Symbol, parameters and shapes are of one model."""
    symbol = symbol_of(archive.json(SYMBOL)) if SYMBOL in archive.files else None
    if SYMBOL in archive.files and symbol is None:
        yield archive.hit(SYMBOL, "this is no symbol of MXNet")
        return
    parameters = archive.parameters
    if parameters is not None and parameters.trouble:
        yield archive.hit(PARAMETERS, parameters.trouble)
        return
    shapes = archive.json(SHAPES)
    inputs = _input_names(shapes)
    if SHAPES in archive.files and inputs is None:
        told = 'this is no list of {"name": …, "shape": […]}'
        yield archive.hit(SHAPES, told)
        return
    if symbol is None:
        return
    for name in sorted(set(inputs or ()) - set(symbol.inputs)):
        yield archive.hit(SHAPES, f"the symbol has no input {name!r}: it has {_few(symbol.inputs)}")
    if parameters is None:
        return
    if parameters.shapes and not parameters.is_of_module:
        told = "names without arg: and aux:, as Gluon's save_parameters writes them"
        yield archive.hit(PARAMETERS, told)
        return
    known = {name.partition(":")[2] for name in parameters.shapes}
    needed = [n for n in symbol.inputs if n not in (inputs or ()) and not n.endswith("label")]
    if inputs is not None and (lacking := [name for name in needed if name not in known]):
        yield archive.hit(PARAMETERS, f"the symbol needs {_few(lacking)}, which is not in here")


def _input_names(shapes: object) -> tuple[str, ...] | None:
    if not isinstance(shapes, list):
        return None
    named = [entry for entry in shapes if isinstance(entry, dict) and "shape" in entry]
    if not named or len(named) != len(shapes):
        return None
    return tuple(str(entry.get("name")) for entry in named)


def _few(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def litter(archive: Archive, target: Target) -> Hits:
    found = sorted(name for name in archive.names if _is_litter(name))
    if found:
        told = f"{len(found)} member{'s' if len(found) > 1 else ''} that no model needs"
        yield archive.hit(found[0], told)


def _is_litter(name: str) -> bool:
    parts = name.split("/")
    return parts[-1].startswith("._") or bool(
        {".DS_Store", "__MACOSX", "__pycache__", ".ipynb_checkpoints", ".git"} & set(parts)
    )


def _by_mxnet(archive: Archive, target: Target) -> str:
    """MXNet's layout, where MXNet is meant: its version is declared, or its files are there."""
    if reason := _readable(archive, target):
        return reason
    if target.framework_version is None and not any(
        name.endswith((SYMBOL, ".params")) for name in archive.files
    ):
        code = archive.code
        if code is None or "mxnet" not in code.packages:
            return "needs --framework-version: nothing here is MXNet's"
    return ""


def _code_in_archive(archive: Archive, target: Target) -> str:
    if reason := _by_mxnet(archive, target):
        return reason
    if not archive.files:
        return "is empty: see SD302"
    if target.framework_version and target.framework_version.startswith(
        ("0.", "1.0", "1.1", "1.2", "1.3")
    ):
        return "is about versions from 1.4 on: before, the code lies in an archive of its own"
    return ""


_PACK = "tar -czf model.tar.gz -C export .\n"
_NET = f"mkdir -p export/{CODE}\ntouch export/net.params\n"
_SERVE = f"echo 'def model_fn(model_dir): return model_dir' > export/{CODE}/{SERVED}\n"
_GOOD = _NET + _SERVE + _PACK
_SYMBOL = '{"nodes": [{"op": "null", "name": "data"}, {"op": "exp", "name": "out"}]}'
_WRITTEN = (
    f"mkdir -p export/{CODE}\ntouch export/{CODE}/{SERVED}\necho '{_SYMBOL}' > export/{SYMBOL}\n"
)
_EMPTY_PARAMETERS = (
    "printf '\\022\\001\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000"
    "\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000'"
    f" > export/{PARAMETERS}\n"
)


def _shapes(name: str) -> str:
    return f'echo \'[{{"name": "{name}", "shape": [1, 4]}}]\' > export/{SHAPES}\n'


_V19 = Target(framework_version="1.9.0")
_LAYOUT = ("sagemaker-mxnet-inference-toolkit handler_service.py",
           "sagemaker-python-sdk utils.py, repack_model")  # fmt: skip

RULES: tuple[ArtifactRule, ...] = (
    ArtifactRule(
        id="SD301",
        name="archive-format",
        level="error",
        sentence="Model data is a tar archive, packed with gzip.",
        cloud="Failed to extract model data archive; the endpoint is Failed.",
        fix="Pack with `tar -czf model.tar.gz -C FOLDER .`.",
        failing=_NET + _SERVE + "tar -cf model.tar.gz -C export .\n",
        passing=_GOOD,
        sources=("API_ContainerDefinition.html, ModelDataUrl",
                 "aws/deep-learning-containers#569",
                 "mantiumai/aws-sagemaker-gptj-deepspeed-blog#2"),
        check=archive_format,
    ),
    ArtifactRule(
        id="SD302",
        name="empty-archive",
        level="error",
        sentence="An archive has files in it.",
        cloud="The training job was Completed; the endpoint finds no model and fails, or answers "
        "500.",
        fix="Let the script save below SM_MODEL_DIR: what lies there becomes the archive.",
        failing="mkdir -p export\n" + _PACK,
        passing=_GOOD,
        sources=("aws/sagemaker-python-sdk#3455", "aws/sagemaker-python-sdk#1895",
                 "aws/sagemaker-training-toolkit#82"),
        check=empty_archive,
        skips=_readable,
    ),
    ArtifactRule(
        id="SD303",
        name="outside-member",
        level="error",
        sentence="Members lie below the archive's own folder, and links lead nowhere else.",
        cloud="Failed to extract model data archive; or the member is left out.",
        fix="Pack with `tar -czf model.tar.gz -C FOLDER .`; add --dereference for links.",
        failing=_NET + _SERVE + "ln -s /usr/share/model export/weights\n" + _PACK,
        passing=_GOOD,
        sources=("CVE-2007-4559", "Python's tarfile: extraction filters",
                 "aws/sagemaker-pytorch-inference-toolkit#157"),
        check=outside_member,
        skips=_readable,
    ),
    ArtifactRule(
        id="SD304",
        name="dangling-link",
        level="error",
        sentence="A link leads to a member of the archive.",
        cloud="FileNotFoundError when the model is loaded: every request answers 500.",
        fix="Pack with --dereference, which puts the file where the link is.",
        failing=_NET + _SERVE + "ln -s net-0010.params export/best.params\n" + _PACK,
        passing=_NET + _SERVE + "ln -s net.params export/best.params\n" + _PACK,
        sources=("tar(1), --dereference", "mantiumai/aws-sagemaker-gptj-deepspeed-blog#5"),
        check=dangling_link,
        skips=_readable,
    ),
    ArtifactRule(
        id="SD305",
        name="wrong-level",
        level="error",
        sentence="Model files lie at the root of the archive.",
        cloud="FileNotFoundError in model_fn, or missing file model-symbol.json: every request "
        "answers 500, or the endpoint is Failed.",
        fix="Pack the folder's content and not the folder: `tar -czf model.tar.gz -C FOLDER .`.",
        failing=_NET + _SERVE + "tar -czf model.tar.gz export\n",
        passing=_GOOD,
        sources=("your-algorithms-training-algo-output: members at the root",
                 "aws/sagemaker-python-sdk#4007", "aws/sagemaker-tensorflow-serving-container#122",
                 "aws/sagemaker-huggingface-inference-toolkit#108"),
        check=wrong_level,
        skips=_readable,
    ),
    ArtifactRule(
        id="SD306",
        name="missing-code",
        level="error",
        sentence="From 1.4 on MXNet's image imports code/inference.py of the archive.",
        cloud="ValueError: import_module exception: every request answers 500.",
        fix="Put the serving script into code/, as inference.py or as SAGEMAKER_PROGRAM names it.",
        failing="mkdir -p export\ntouch export/net.params\n"
        f"echo 'def model_fn(model_dir): return model_dir' > export/{SERVED}\n" + _PACK,
        passing=_GOOD,
        sources=(*_LAYOUT, "aws/sagemaker-huggingface-inference-toolkit#10",
                 "aws/sagemaker-mxnet-training-toolkit#87",
                 "aws/sagemaker-scikit-learn-container#77"),
        check=missing_code,
        skips=_code_in_archive,
        example=_V19,
    ),
    ArtifactRule(
        id="SD307",
        name="default-files",
        level="error",
        sentence="Without a model_fn MXNet's image loads three files, and needs all of them.",
        cloud="ValueError: Failed to load model with default model_fn: missing file …",
        fix="Save a Module with its data shapes (training_utils.save does), or write a model_fn.",
        failing=_WRITTEN + _EMPTY_PARAMETERS + _PACK,
        passing=_WRITTEN + _EMPTY_PARAMETERS + _shapes("data") + _PACK,
        sources=("sagemaker-mxnet-inference-toolkit default_inference_handler.py",
                 "aws/sagemaker-python-sdk#1354"),
        check=default_files,
        skips=_by_mxnet,
        example=_V19,
    ),
    ArtifactRule(
        id="SD308",
        name="parts-that-fit",
        level="error",
        sentence="Symbol, parameters and shapes are of one model.",
        cloud="MXNetError or RuntimeError when the model is loaded: the endpoint is Failed, or "
        "every request answers 500.",
        fix="Write all three from the same Module, or export(…) of the same net.",
        failing=_WRITTEN + _EMPTY_PARAMETERS + _shapes("image") + _PACK,
        passing=_WRITTEN + _EMPTY_PARAMETERS + _shapes("data") + _PACK,
        sources=("sagemaker-mxnet-inference-toolkit default_inference_handler.py",
                 "apache/mxnet 1.9.1 ndarray.cc, module.py"),
        check=parts_that_fit,
        skips=_by_mxnet,
        example=_V19,
    ),
    ArtifactRule(
        id="SD309",
        name="litter",
        level="advice",
        sentence="Files of the Finder, of notebooks and of git only make the archive larger.",
        cloud="Nothing fails; each start of an endpoint downloads them.",
        fix="Exclude them: `tar --exclude .DS_Store --exclude '._*' --exclude __pycache__ …`.",
        failing=_NET + _SERVE + "touch export/.DS_Store\n" + _PACK,
        passing=_GOOD,
        sources=("aws/sagemaker-tensorflow-serving-container#122",),
        check=litter,
        skips=_readable,
    ),
)  # fmt: skip
"""All of artifacts; what their code/ says is for the rules on scripts."""
