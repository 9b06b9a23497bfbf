"""The dynamic part of a check: train, serve what came out, ask it, and let the rules judge."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sagedock import archives
from sagedock.backends.base import Tell
from sagedock.backends.docker.image_contents import ImageContents
from sagedock.check.checker import Checker
from sagedock.check.rules import isolation_rules
from sagedock.check.rules.isolation_rules import Isolated
from sagedock.check.rules.training_run_rules import not_to_be_judged
from sagedock.check.runs.hosting_placement import environment_of, instance_type_of, is_serverless
from sagedock.check.runs.hosting_probe import serve
from sagedock.check.runs.hosting_server import ServingPlan
from sagedock.check.runs.place import Place, Provision, Provisions
from sagedock.check.runs.probe import Probe, TrainingPlan, code_of, copied_code
from sagedock.check.subjects.archive import CODE, Archive
from sagedock.check.subjects.module import Module
from sagedock.check.subjects.observations import Code, Hosting, Training
from sagedock.check.subjects.request import Request
from sagedock.check.subjects.script import SERVING_MODULE, Script
from sagedock.check.target import OTHER_FRAMEWORKS, Target, generation_of
from sagedock.check.wanted import Wanted
from sagedock.domain.images import MXNET

SERVING_FUNCTIONS = frozenset(
    {"model_fn", "input_fn", "predict_fn", "output_fn", "transform_fn", "process_request_fn"}
)
_PYTHON_IMAGE = "sagedock/python"
_HYBRIDIZE = """


_model_fn_before_the_check = model_fn


def model_fn(*arguments):
    net = _model_fn_before_the_check(*arguments)
    net.hybridize(static_alloc=True, static_shape=True)
    return net
"""


@dataclass(frozen=True)
class Trial:
    """Runs what is wanted at `place`; `tell` gets a line where something has to be built first.
    `image` is the one that was named, which the script then runs in."""

    checker: Checker
    wanted: Wanted
    place: Place
    given: Provisions
    tell: Tell
    image: ImageContents | None = None

    def run(
        self, scripts: Sequence[Script], archive: Archive | None, requests: Sequence[Request]
    ) -> None:
        """Train each script and serve its model; or, where there is an archive, serve that."""
        if why := why_not(self.checker, self.image):
            self.checker.skip("training", str(self.wanted.path or self.wanted.model), why)
            self.checker.skip("hosting", str(self.wanted.path or self.wanted.model), why)
            return
        with Probe(self.place, self.tell) as probe:
            if archive is not None:
                self._serve_archive(probe, archive, scripts[0] if scripts else None)
                return
            for script in scripts:
                self._train_and_serve(probe, script, requests)

    # --- training -----------------------------------------------------------------------------

    def _train_and_serve(self, probe: Probe, script: Script, requests: Sequence[Request]) -> None:
        wanted, name = self.wanted, script.entry.file
        image, why = self._training_image(script)
        if image is None:
            self.checker.skip("training", name, why, wanted=True)
            self.checker.skip("hosting", name, why)
            return
        job = next((r for r in requests if r.operation == "CreateTrainingJob"), None)
        plan = TrainingPlan(
            script=script,
            image=image,
            channels={n: folder for n, folder in wanted.channels.items() if folder is not None},
            hyperparameters=hyperparameters_for(wanted, job, is_framework=self.image is None),
            environment=wanted.environment,
            metrics={**metrics_of(job), **wanted.metrics},
            instance_type=self.given.training.instance_type,
            hosts=wanted.instance_count,
            seconds=wanted.seconds,
            grace_seconds=wanted.training_grace,
            resumes=wanted.resume,
            isolated=self.given.training.isolated,
            is_foreign=self.image is not None,
        )
        training, model = probe.train(plan)
        if why := not_to_be_judged(training):
            self.checker.skip("training", name, why, wanted=True)
            self.checker.skip("hosting", name, why)
            return
        self.checker.look("training", training, name)
        tell_training(self.checker, training)
        tell_isolation(self.checker, self.given.training, self.place, training, name)
        if training.ignored_script:
            self.checker.skip("hosting", name, "the image does not know of the script: see SD409")
        elif training.code or not (training.went_well or training.model):
            why = "the training failed" if training.code else "it was stopped and saved nothing"
            asked = bool(wanted.requests) and not training.code
            self.checker.skip("hosting", name, why, wanted=asked)
        elif not wanted.requests and not _serves(script):
            self.checker.skip("hosting", name, "the script has no function that serves")
        else:
            self._serve_script(probe, script, image, model)

    def _training_image(self, script: Script) -> tuple[str | None, str]:
        """The image for the script, or why there is none."""
        if self.image is None:
            return image_for(script.modules, self.checker.target, script.requirements)
        if self.image.starts_by_name and not self.image.has("train"):
            return None, "the image has no `train`"
        return self.image.name, ""

    def _serve_script(self, probe: Probe, script: Script, image: str, model: Path) -> None:
        """As `estimator.deploy` would: the code goes into the archive from 1.4 on, before that it
        is an archive of its own."""
        code = code_of(script)
        if served_entry(script) != code.entry:
            shown = Path(script.entry.file).parent / SERVING_MODULE
            code = Code(script.root, SERVING_MODULE, shown.as_posix())
        environment = {"SAGEMAKER_PROGRAM": code.entry, "SAGEMAKER_REGION": "us-east-1"}
        in_model = code_in_model(self.checker.target, script.entry)
        if not in_model:
            folder = copied_code(script, probe.new_folder("source") / CODE)
            environment["SAGEMAKER_SUBMIT_DIRECTORY"] = f"file://{folder}"

        def stage(place: Path) -> None:
            shutil.copytree(model, place, dirs_exist_ok=True)
            if in_model and not (place / CODE).exists():
                copied_code(script, place / CODE)

        if self.image is not None and in_model:
            # As the SDK says it of an image of one's own; ours look there anyway.
            environment["SAGEMAKER_SUBMIT_DIRECTORY"] = f"/opt/ml/model/{CODE}"
        self._serve(probe, code, image, stage, environment)

    # --- hosting ------------------------------------------------------------------------------

    def _serve_archive(self, probe: Probe, archive: Archive, script: Script | None) -> None:
        """The archive's own code; where it has none, that of the script."""
        has_code = any(name.startswith(f"{CODE}/") for name in archive.files)
        modules = [archive.code] if archive.code else list(script.modules if script else ())
        image, why = image_for(modules, self.checker.target, None)
        if self.image is not None:
            image = self.image.name
        if image is None:
            self.checker.skip("hosting", archive.file, why, wanted=True)
            return
        entry = archive.entry
        code = Code(Path(CODE), entry, f"{CODE}/{entry}")
        if not has_code and script is not None:
            code = code_of(script)
        environment = {"SAGEMAKER_PROGRAM": code.entry, "SAGEMAKER_REGION": "us-east-1"}
        unpacked = probe.new_folder("archive")
        with archive.path.open("rb") as source:
            archives.unpack(source, unpacked)
        if has_code:
            code = Code(unpacked / CODE, entry, f"{CODE}/{entry}")
        in_model = has_code or script is None or code_in_model(self.checker.target, script.entry)
        if not in_model and script is not None:
            folder = copied_code(script, probe.new_folder("source") / CODE)
            environment["SAGEMAKER_SUBMIT_DIRECTORY"] = f"file://{folder}"

        def stage(place: Path) -> None:
            shutil.copytree(unpacked, place, dirs_exist_ok=True, symlinks=True)
            if in_model and not has_code and script is not None:
                copied_code(script, place / CODE)

        self._serve(probe, code, image, stage, environment)

    def _serve(
        self,
        probe: Probe,
        code: Code,
        image: str,
        stage: Callable[[Path], None],
        environment: Mapping[str, str],
    ) -> None:
        wanted = self.wanted
        if why := why_not_served(self.image, wanted):
            self.checker.skip("hosting", code.shown, why)
            return
        plan = ServingPlan(
            script=code,
            image=image,
            stage=stage,
            samples=wanted.samples,
            accepts=wanted.accept,
            environment={
                **environment_of(self.checker.bodies),
                **environment,
                **wanted.environment,
            },
            instance_type=instance_type_of(self.checker.bodies) or wanted.instance_type,
            is_serverless=is_serverless(self.checker.bodies),
            startup_seconds=wanted.startup_seconds,
            request_seconds=wanted.request_seconds,
            grace_seconds=wanted.hosting_grace,
            hybridize=lambda model: hybridized(model, code),
        )
        seen = serve(plan, probe)
        self.checker.look("hosting", seen, code.shown)
        tell_timing(self.checker, seen)
        tell_isolation(self.checker, self.given.hosting, self.place, seen, code.shown)


def why_not(checker: Checker, image: ImageContents | None) -> str:
    """Why nothing is run; "" where it is."""
    if any(finding.level == "error" for finding in checker.report.findings):
        return "the static rules found errors: mend these first"
    if image is not None and image.architecture not in ("", image.machine):
        return f"this engine's machine is {image.machine}"
    return ""


def why_not_served(image: ImageContents | None, wanted: Wanted) -> str:
    """Why an image that was named serves nothing; "" where it does, and where none was named."""
    if image is None:
        return ""
    if image.starts_by_name and not image.has("serve"):
        return "the image has no `serve`"
    if not image.starts_by_name and not wanted.requests:
        return "whether the ENTRYPOINT serves is not known: needs --request"
    return ""


def tell_training(checker: Checker, seen: Training) -> None:
    """Add to the report what the user's code was given."""
    told = {"hyperparameters": dict(seen.hyperparameters), "arguments": seen.arguments}
    checker.tell("trained", told)


def tell_isolation(
    checker: Checker, given: Provision, place: Place, seen: Training | Hosting, name: str
) -> None:
    """Judge a run that is to have no network; say why where it cannot be."""
    if not given.isolated:
        why = "needs --network-isolation, or a request with EnableNetworkIsolation"
        checker.skip("isolation", name, why)
    elif place.name == "process":
        why = "a process cannot be cut off from the network: SD801 needs --backend docker"
        asked = any(checker.choice.takes(rule) for rule in isolation_rules.RULES)
        checker.skip("isolation", name, why, wanted=asked)
    else:
        checker.look("isolation", Isolated.of(seen), name)


def tell_timing(checker: Checker, seen: Hosting) -> None:
    """Add what was measured to the report."""
    if seen.measured:
        checker.tell("measured", seen.measured)


def image_for(
    modules: Sequence[Module], target: Target, requirements: str | None
) -> tuple[str | None, str]:
    """The image that stands for the cloud's, or why there is none."""
    packages = frozenset().union(*(module.packages for module in modules))
    if target.framework_version is not None:
        return f"{MXNET.alias}:{target.framework_version}", ""
    if "mxnet" in packages:
        is_old = bool(modules) and target.generation(modules[0]) == "legacy"
        return (f"{MXNET.alias}:1.2.1" if is_old else MXNET.alias), ""
    others = sorted(OTHER_FRAMEWORKS & packages)
    brought = (requirements or "").lower().replace("_", "-")
    if others and not all(name.replace("_", "-") in brought for name in others):
        return None, f"no image here has {others[0]}"
    return _PYTHON_IMAGE, ""


def served_entry(script: Script) -> str:
    """The file that is served: inference.py of a folder that has one, else the entry point."""
    if script.is_folder and (script.root / SERVING_MODULE).is_file():
        return SERVING_MODULE
    return script.entry.path.relative_to(script.root).as_posix()


def code_in_model(target: Target, entry: Module) -> bool:
    """Whether an endpoint finds the code in its model archive: from 1.4 on."""
    if target.framework_version is None:
        return target.generation(entry) != "legacy"
    full = MXNET.version(target.framework_version) or ""
    is_old = generation_of(full) == "legacy" or full.startswith("1.3")
    return not is_old


def _serves(script: Script) -> bool:
    return any(SERVING_FUNCTIONS & set(module.functions) for module in script.served)


def hyperparameters_for(
    wanted: Wanted, job: Request | None, *, is_framework: bool
) -> dict[str, str]:
    """Each as JSON text, as the SDK sends them to a framework's image; as plain text to any other
    (sagemaker-python-sdk, estimator.py: str of each value). Those of a request as they stand
    there."""
    if wanted.hyperparameters is not None:
        text = json.dumps if is_framework else str
        return {str(name): text(value) for name, value in wanted.hyperparameters.items()}
    given = job.get("HyperParameters", default={}) if job else {}
    return dict(given)


def metrics_of(job: Request | None) -> dict[str, str]:
    """Name → regular expression of a CreateTrainingJob."""
    path = ("AlgorithmSpecification", "MetricDefinitions")
    found = job.get(*path, default=[]) if job else []
    return {m["Name"]: m["Regex"] for m in found if "Name" in m and "Regex" in m}


def hybridized(model: Path, code: Code) -> tuple[str, int] | None:
    """Let the staged model hybridize its net; where model_fn stands, None where there is no Gluon
    net, or it is hybridized already."""
    file = model / CODE / code.entry
    if not file.is_file():
        return None
    module = Module(file, code.shown, file.read_text(encoding="utf-8", errors="replace"))
    function = module.functions.get("model_fn")
    if function is None or "mxnet" not in module.packages or "hybridize" in module.text:
        return None
    with file.open("a", encoding="utf-8") as more:
        more.write(_HYBRIDIZE)
    return code.shown, function.lineno
