"""Rules on the code itself: its Python, its names, its packages."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator

from sagedock.check.rules.entry_rules import SERVING
from sagedock.check.rules.rule import ScriptRule, always, needs_syntax
from sagedock.check.subjects import packages, python2, python38
from sagedock.check.subjects.hit import Hit, Hits
from sagedock.check.subjects.module import Import, Module, text_of
from sagedock.check.subjects.names import Names
from sagedock.check.subjects.script import Script
from sagedock.check.subjects.words import words
from sagedock.check.target import OTHER_FRAMEWORKS, Target

_GONE = {
    "xrange": "range", "unicode": "str", "raw_input": "input", "basestring": "str", "long": "int",
    "unichr": "chr", "reduce": "functools.reduce", "execfile": "exec(open(…).read())",
    "reload": "importlib.reload", "cmp": "(a > b) - (a < b)", "file": "open",
}  # fmt: skip


_MOVED = {
    "urllib.urlretrieve": "urllib.request.urlretrieve", "urllib.urlopen": "urllib.request.urlopen",
    "urllib.urlencode": "urllib.parse.urlencode", "urllib.quote": "urllib.parse.quote",
    "urllib.unquote": "urllib.parse.unquote", "itertools.izip": "zip", "itertools.imap": "map",
    "itertools.ifilter": "filter", "string.letters": "string.ascii_letters",
    "string.maketrans": "str.maketrans", "sys.maxint": "sys.maxsize", "os.getcwdu": "os.getcwd",
}  # fmt: skip
_METHODS = {
    "has_key": "use `in`", "iteritems": "use `items`", "itervalues": "use `values`",
    "iterkeys": "use `keys`",
}  # fmt: skip


def syntax(script: Script, target: Target) -> Hits:
    for module in script.modules:
        if module.error is not None and not python2.places(module.text):
            error = module.error
            told = f"Python {_own_python()} does not take this: {error.msg}"
            yield Hit.on(module, error.lineno or 1, max(error.offset or 1, 1), told)


def _own_python() -> str:
    """The Python that parses here; later syntax is an error to it."""
    return ".".join(str(number) for number in sys.version_info[:2])


def old_python(script: Script, target: Target) -> Hits:
    for module in script.modules:
        if module.tree is None:
            for place in python2.places(module.text):
                yield Hit.on(module, place.line, place.column, place.told)
        else:
            yield from _old_names(module)


def _old_names(module: Module) -> Hits:
    knows_both = re.search(r"version_info|\bPY2\b|\bPY3\b|\bsix\b|NameError", module.text)
    if knows_both:
        return
    for name in module.every(ast.Name):
        if name.id in _GONE and name.id not in module.bound_anywhere:
            yield Hit.at(module, name, f"`{name.id}` is `{_GONE[name.id]}` in Python 3")
    for attribute in module.every(ast.Attribute):
        yield from _old_attribute(module, attribute)
    for found in module.imports:
        first = found.module.partition(".")[0]
        tried = _is_tried(module, found.node)
        if not found.level and first in packages.PYTHON2_LIBRARY and not tried:
            yield Hit.at(module, found.node, f"Python 3 has no module {first}")


def _old_attribute(module: Module, node: ast.Attribute) -> Hits:
    now = _MOVED.get(f"{getattr(node.value, 'id', '')}.{node.attr}")
    if now is not None and _MOVED.get(module.dotted(node)) == now:
        yield Hit.at(module, node, f"`{ast.unparse(node)}` is `{now}` in Python 3")
    is_called = isinstance(module.parents.get(node), ast.Call)
    if node.attr in _METHODS and is_called:
        if node.attr == "iteritems" and "pandas" in module.packages:
            return  # data frames had it until pandas 2.0
        told = f"dictionaries have no {node.attr} in Python 3: {_METHODS[node.attr]}"
        yield Hit.at(module, node, told)


def newer_python(script: Script, target: Target) -> Hits:
    for module in script.modules:
        place = python38.first_place(module)
        if place is not None:
            told = f"the image has Python 3.8: {place.told}"
            yield Hit.on(module, place.line, place.column, told)


def undefined_name(script: Script, target: Target) -> Hits:
    for module in script.modules:
        names = Names(module)
        for node in names.undefined():
            if node.id in _GONE:
                continue
            told = "is nowhere defined or imported"
            if node.id in module.bound_anywhere:
                told = "has a value in another function or class, and none here"
            yield Hit.at(module, node, f"`{node.id}` {told}")
        if module.guards and (called := _called_by_importers(script, target, module)):
            for node in names.under_guard_only(called):
                told = f"only the main guard binds `{node.id}`, and the container imports this file"
                yield Hit.at(module, node, told)


def _called_by_importers(script: Script, target: Target, module: Module) -> tuple[str, ...]:
    """Functions that a container calls after it has imported the file."""
    served = SERVING if module in script.served else ()
    is_legacy = module is script.entry and target.generation(module) == "legacy"
    return (*served, "train", "save") if is_legacy else served


def missing_package(script: Script, target: Target) -> Hits:
    is_legacy = target.generation(script.entry) == "legacy"
    known = packages.LEGACY if is_legacy else packages.TRAINING
    told = "which the image does not have"
    if is_legacy and script.requirements:
        told += ", and legacy training installs no requirements.txt"
    elif not is_legacy:
        told += ", nor does requirements.txt name it"
    imports = _foreign(
        script, script.modules, known, with_pip=not is_legacy, runs_guards=not is_legacy
    )
    for module, found, package in imports:
        yield Hit.at(module, found.node, f"`{package}` is imported, {told}")


def missing_for_serving(script: Script, target: Target) -> Hits:
    for module, found, package in _foreign(script, script.served, packages.SERVING, with_pip=True):
        if package in packages.TRAINING:
            told = f"`{package}` is in the training image, and not in the one that serves"
            yield Hit.at(module, found.node, told)


def _foreign(
    script: Script,
    modules: tuple[Module, ...],
    known: frozenset[str],
    *,
    with_pip: bool,
    runs_guards: bool = False,
) -> Iterator[tuple[Module, Import, str]]:
    """Imports at the top of a file that nothing brings; where the main guard of the entry point is
    run, in that, too. Those in functions may never run."""
    installed = _installed(script) if with_pip else _installed_by_code(script)
    for module in modules:
        is_run = runs_guards and module is script.entry
        seen: set[str] = set()
        for found in module.imports:
            package = found.module.partition(".")[0]
            if found.level or not package or package in seen or package in known:
                continue
            if package in packages.STANDARD_LIBRARY | packages.PYTHON2_LIBRARY:
                continue
            if script.has_local(package) or _brings(installed, package):
                continue
            if _fetches(script, package):
                continue
            at_top = found.node in module.top or (is_run and found.node in _guarded(module))
            if at_top and not _is_tried(module, found.node):
                seen.add(package)
                yield module, found, package


def _installed(script: Script) -> list[str]:
    """Distributions of requirements.txt and of pip calls in the code, as one spells them."""
    names = _installed_by_code(script)
    for line in (script.requirements or "").splitlines():
        plain = line.partition("#")[0].strip()
        name = re.match(r"[A-Za-z0-9][\w.-]*", plain)
        names.append(name[0] if name else plain)
    return [name.lower().replace("-", "_").replace(".", "_") for name in names if name]


def _installed_by_code(script: Script) -> list[str]:
    """Words of `pip install` in a call: what they name may be imported afterwards."""
    words = []
    for module in script.modules:
        # Calls lie in calls: walking each of a file without the word would take most of the check.
        for call in module.calls if "pip" in module.text else ():
            texts = [t for n in ast.walk(call) if (t := text_of(n)) is not None]
            said = " ".join(texts)
            if re.search(r"\bpip3?\b", said) and "install" in said:
                words += re.findall(r"[A-Za-z][\w.-]*", said)
                words += ["*"] if not _all_constant(call) else []
    return [word.lower().replace("-", "_") for word in words] if "*" not in words else ["*"]


def _all_constant(call: ast.Call) -> bool:
    """False for `pip install` of a name that only the run knows."""
    allowed = {"sys", "subprocess", "os", "executable", "check_call", "True", "False"}
    names = {n.id for a in call.args for n in ast.walk(a) if isinstance(n, ast.Name)}
    return names <= allowed


def _brings(installed: list[str], package: str) -> bool:
    own = package.lower()
    bringers = (name for name, brought in packages.BROUGHT_ALONG.items() if package in brought)
    wanted = (own, *packages.DISTRIBUTIONS.get(package, ()), *bringers)
    return any(
        name == "*" or "/" in name or name.startswith(("_e", "_r"))
        or any(word in name or (len(name) > 3 and name in word) for word in wanted)
        for name in installed
    )  # fmt: skip


def _fetches(script: Script, package: str) -> bool:
    """Whether the code names the package's own file, as one that downloads it does."""
    its_file = re.compile(rf"(^|[/\\]){re.escape(package)}(\.py|\.zip|-\d\S*\.(whl|zip|tar\.gz))$")
    near = (module for module in script.modules if package in module.text)
    texts = (text_of(node) for module in near for node in module.every(ast.Constant))
    return any(text is not None and its_file.search(text) for text in texts)


def _is_tried(module: Module, node: ast.AST) -> bool:
    """In a `try`, or under a condition such as TYPE_CHECKING or a version."""
    return any(
        isinstance(above, (ast.Try, ast.If)) and above not in module.guards
        for above in module.around(node)
    )


def _guarded(module: Module) -> list[ast.stmt]:
    """Statements of the main guard itself."""
    return [statement for guard in module.guards for statement in guard.body]


def shadowed_module(script: Script, target: Target) -> Hits:
    if not script.is_folder:
        files = [script.entry.path]
    else:
        files = sorted([*script.root.glob("*.py"), *script.root.glob("*/__init__.py")])
    wanted = packages.LOADED_AT_START | frozenset().union(*(m.packages for m in script.modules))
    modules = {module.path: module for module in script.modules}
    for file in files:
        name = file.parent.name if file.name == "__init__.py" else file.stem
        is_known = name in packages.STANDARD_LIBRARY or name in packages.TRAINING
        if file.name == "__init__.py" and file.parent == script.root:
            continue
        if is_known and name in wanted and name in packages.LOADED_AT_START | _COMMON:
            module = modules.get(file, script.entry)
            shown = file.relative_to(script.root).as_posix()
            yield Hit.at(
                module, ast.Module([], []), f"{shown} hides the module `{name}` of the image"
            )


_COMMON = words(
    """
    pandas scipy sklearn cv2 PIL matplotlib yaml tqdm gluoncv gluonnlp
    """
)


def _by_mxnet_image(script: Script, target: Target) -> str:
    if reason := needs_syntax(script, target):
        return reason
    others = OTHER_FRAMEWORKS & frozenset().union(*(m.packages for m in script.modules))
    if not target.is_mxnet(script.entry):
        why = f" (imports {', '.join(sorted(others))})" if others else ""
        return f"the image is not known to be MXNet's{why}: needs --framework-version"
    return ""


def _serves_too(script: Script, target: Target) -> str:
    if reason := _by_mxnet_image(script, target):
        return reason
    if target.generation(script.entry) == "legacy":
        return "up to 1.2.1 one image trains and serves"
    serves = any(name in m.functions for m in script.served for name in SERVING)
    return "" if serves else "the script has no serving functions"


_TAIL = '\n\ndef train(hyperparameters):\n    return {"weights": [1]}\n'

RULES = (
    ScriptRule(
        id="SD130",
        name="syntax",
        level="error",
        sentence="The file is no Python that the checker's own Python takes.",
        cloud="SyntaxError before anything runs; the job is Failed.",
        fix="Mend the line.",
        failing="def train(hyperparameters:\n    return 1\n",
        passing="def train(hyperparameters):\n    return 1\n",
        sources=("aws/sagemaker-python-sdk#134",),
        check=syntax,
        skips=always,
    ),
    ScriptRule(
        id="SD131",
        name="python-2",
        level="error",
        sentence="The code is Python 2, and the images are Python 3.",
        cloud="SyntaxError or NameError. Only the py2 images, up to 1.6, would take it.",
        fix="Translate it; 2to3 does most of it.",
        failing="def train(hyperparameters):\n    print 'training'\n    return [1]\n",
        passing="def train(hyperparameters):\n    print('training')\n    return [1]\n",
        sources=("aws/sagemaker-python-sdk#436", "aws/sagemaker-python-sdk#446",
                 "apache/mxnet#8159"),
        check=old_python,
        skips=always,
    ),
    ScriptRule(
        id="SD132",
        name="newer-python",
        level="error",
        sentence="The code needs a newer Python than the last MXNet image has, 3.8.",
        cloud="SyntaxError before anything runs; the job is Failed.",
        fix="Write it for Python 3.8.",
        failing="import mxnet as mx\n\n\ndef train(hyperparameters):\n"
        '    match hyperparameters.get("net"):\n        case "dense":\n'
        "            return mx.sym.var(\"x\")\n",
        passing="import mxnet as mx\n\n\ndef train(hyperparameters):\n"
        '    if hyperparameters.get("net") == "dense":\n        return mx.sym.var("x")\n',
        sources=("aws/deep-learning-containers mxnet/training/docker/1.9/py3/Dockerfile.cpu",),
        check=newer_python,
        skips=_by_mxnet_image,
    ),
    ScriptRule(
        id="SD133",
        name="undefined-name",
        level="error",
        sentence="A name is used that nothing defines there.",
        cloud="NameError when that line is reached: perhaps after hours, perhaps only when served.",
        fix="Import or define it.",
        failing="import os\n\n\ndef main():\n"
        '    hosts = json.loads(os.environ["SM_HOSTS"])\n'
        '    print(hosts, os.environ["SM_MODEL_DIR"])\n\n\n'
        'if __name__ == "__main__":\n    main()\n',
        passing="import json\nimport os\n\n\ndef main():\n"
        '    hosts = json.loads(os.environ["SM_HOSTS"])\n'
        '    print(hosts, os.environ["SM_MODEL_DIR"])\n\n\n'
        'if __name__ == "__main__":\n    main()\n',
        sources=("aws/amazon-sagemaker-examples mxnet_horovod_mnist: json is not imported",
                 "aws/sagemaker-huggingface-inference-toolkit#7"),
        check=undefined_name,
    ),
    ScriptRule(
        id="SD134",
        name="missing-package",
        level="error",
        sentence="A package is imported that neither the image nor requirements.txt brings.",
        cloud="ModuleNotFoundError before anything runs: the job is Failed, or every request "
        "answers 500 or 503.",
        fix="Name it in requirements.txt beside the entry point (from 1.3 on), or put it into "
        "source_dir. Up to 1.2.1 nothing is installed.",
        failing="import a_package_of_your_own\nimport mxnet as mx\n" + _TAIL,
        passing="import mxnet as mx\nimport numpy as np\n" + _TAIL,
        sources=("aws/sagemaker-python-sdk#182", "aws/sagemaker-python-sdk#816",
                 "aws/deep-learning-containers mxnet/training/docker/1.9/py3/Dockerfile.cpu"),
        check=missing_package,
        skips=_by_mxnet_image,
    ),
    ScriptRule(
        id="SD135",
        name="missing-for-serving",
        level="warning",
        sentence="The file is imported by the inference image too, which has fewer packages.",
        cloud="ModuleNotFoundError in the endpoint's workers: 503 for every request.",
        fix="Import it inside the training function, or name it in requirements.txt.",
        failing='import mxnet as mx\nimport seaborn\n\n\ndef model_fn(model_dir):\n'
        '    return model_dir\n'
        '\n\nif __name__ == "__main__":\n    print(mx, seaborn)\n',
        passing="import mxnet as mx\n\n\ndef model_fn(model_dir):\n    return model_dir\n"
        '\n\nif __name__ == "__main__":\n    import seaborn\n\n    print(mx, seaborn)\n',
        sources=("aws/sagemaker-python-sdk#868", "aws/sagemaker-pytorch-inference-toolkit#91",
                 "aws/deep-learning-containers mxnet/inference/docker/1.9/py3/Dockerfile.cpu"),
        check=missing_for_serving,
        skips=_serves_too,
    ),
    ScriptRule(
        id="SD136",
        name="shadowed-module",
        level="error",
        sentence="The source folder comes first on sys.path, and a file of it has the name of a "
        "module that the image needs.",
        cloud="ImportError or AttributeError inside mxnet or the toolkit, before anything runs.",
        fix="Rename the file.",
        failing="# saved as json.py\nimport mxnet as mx\n" + _TAIL,
        passing="# saved as train.py\nimport mxnet as mx\n" + _TAIL,
        sources=("sagemaker-training-toolkit entry_point.py: PYTHONPATH begins with /opt/ml/code",
                 "aws/sagemaker-python-sdk#134"),
        check=shadowed_module,
    ),
)  # fmt: skip
