"""A container image: looked at, and with something to run it with, trained and served as well."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sagedock import archives
from sagedock.backends.base import Tell
from sagedock.backends.docker.backend import DockerBackend
from sagedock.backends.docker.engine import Engine
from sagedock.backends.docker.image_contents import ImageContents
from sagedock.backends.docker.image_reader import connect, contents_of
from sagedock.check.archive import Archive
from sagedock.check.checker import Checker
from sagedock.check.hosting_placement import environment_of
from sagedock.check.hosting_probe import serve
from sagedock.check.hosting_server import ServingPlan
from sagedock.check.probe import Probe, TrainingPlan
from sagedock.check.request import Request
from sagedock.check.rule import Kind
from sagedock.check.trial import metrics_of, tell_timing
from sagedock.check.wanted import Wanted


def check_image(
    checker: Checker,
    wanted: Wanted,
    archive: Archive | None,
    requests: Sequence[Request],
    tell: Tell,
) -> None:
    """Raises CheckError where no engine answers, or it does not have the image."""
    assert wanted.image is not None
    with closing(connect()) as engine:
        image = contents_of(engine, wanted.image)
        checker.image(image)
        if wanted.runs:
            ImageTrial(checker, wanted, engine, image, tell).run(archive, requests)


@dataclass(frozen=True)
class ImageTrial:
    """Runs the image as jobs and endpoints would, in containers and a folder of the check's own,
    both of which go with it."""

    checker: Checker
    wanted: Wanted
    engine: Engine
    image: ImageContents
    tell: Tell

    def run(self, archive: Archive | None, requests: Sequence[Request]) -> None:
        """Train and serve the model; or, where there is an archive, serve that."""
        why = self._why_not()
        if why:
            self._skip("training", why)
            self._skip("hosting", why)
            return
        with Probe(lambda home: DockerBackend(self.engine, home), self.tell) as probe:
            model = None
            if archive is not None:
                self._skip("training", "there is a model already: --model")
                model = probe.new_folder("archive")
                with archive.path.open("rb") as source:
                    archives.unpack(source, model)
            elif self._trains:
                model = self._train(probe, requests)
                if model is None:
                    self._skip("hosting", "the training did not end well")
                    return
            else:
                self._skip("training", "the image has no `train`, or nothing to train it with")
            self._serve(probe, model)

    def _why_not(self) -> str:
        if self.wanted.path is not None:
            return "the script is run, in an image of sagedock's: leave PATH away to run this one"
        if any(finding.level == "error" for finding in self.checker.report.findings):
            return "the static rules found errors: mend these first"
        if self.image.architecture not in ("", self.image.machine):
            return f"this engine's machine is {self.image.machine}"
        return ""

    @property
    def _trains(self) -> bool:
        """An entry point does not tell: it is trained with where there is something for that."""
        if self.image.starts_by_name:
            return self.image.has("train")
        wanted = self.wanted
        has_data = any(folder is not None for folder in wanted.channels.values())
        return wanted.run or has_data or wanted.hyperparameters is not None

    def _train(self, probe: Probe, requests: Sequence[Request]) -> Path | None:
        wanted = self.wanted
        job = next((r for r in requests if r.operation == "CreateTrainingJob"), None)
        plan = TrainingPlan(
            script=None,
            image=self.image.name,
            channels={n: folder for n, folder in wanted.channels.items() if folder is not None},
            hyperparameters=self._hyperparameters(job),
            environment=wanted.environment,
            metrics={**metrics_of(job), **wanted.metrics},
            instance_type=wanted.instance_type or "ml.m5.large",
            hosts=wanted.instance_count,
            seconds=wanted.seconds,
            grace_seconds=wanted.grace,
            resumes=wanted.resume,
        )
        training, model = probe.train(plan)
        self.checker.look("training", training, self.image.name)
        return model if training.went_well else None

    def _hyperparameters(self, job: Request | None) -> dict[str, str]:
        """As plain text, and not as JSON: so the SDK's Estimator for any image sends them
        (sagemaker-python-sdk, estimator.py: str of each value); only frameworks' have JSON."""
        if self.wanted.hyperparameters is not None:
            return {str(name): str(value) for name, value in self.wanted.hyperparameters.items()}
        return dict(job.get("HyperParameters", default={}) if job else {})

    def _serve(self, probe: Probe, model: Path | None) -> None:
        if self.image.starts_by_name and not self.image.has("serve"):
            self._skip("hosting", "the image has no `serve`")
            return
        if not self.image.starts_by_name and not self.wanted.requests:
            self._skip("hosting", "whether the ENTRYPOINT serves is not known: needs --request")
            return
        wanted = self.wanted
        plan = ServingPlan(
            script=TrainingPlan(None, self.image.name).code,
            image=self.image.name,
            stage=_staged(model),
            samples=wanted.samples,
            accepts=wanted.accept,
            environment={**environment_of(self.checker.bodies), **wanted.environment},
            startup_seconds=wanted.startup_seconds,
            request_seconds=wanted.request_seconds,
            grace_seconds=wanted.grace,
        )
        seen = serve(plan, probe)
        self.checker.look("hosting", seen, self.image.name)
        tell_timing(self.checker, seen)

    def _skip(self, kind: Kind, why: str) -> None:
        self.checker.skip(kind, self.image.name, why)


def _staged(model: Path | None) -> Callable[[Path], None]:
    """Copies the model into the folder that becomes /opt/ml/model; nothing where there is none."""

    def stage(place: Path) -> None:
        if model is not None:
            shutil.copytree(model, place, dirs_exist_ok=True, symlinks=True)

    return stage
