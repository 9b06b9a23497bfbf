"""What a check does with a Docker engine: it looks at an image, and runs that or a script in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sagedock import archives
from sagedock.backends.base import Tell
from sagedock.backends.docker.image_contents import ImageContents
from sagedock.backends.docker.image_reader import connect, contents_of
from sagedock.check.checker import Checker
from sagedock.check.rules.rule import Kind
from sagedock.check.runs.docker_place import Containers
from sagedock.check.runs.hosting_placement import environment_of, is_serverless
from sagedock.check.runs.hosting_probe import serve
from sagedock.check.runs.hosting_server import ServingPlan
from sagedock.check.runs.machine import Machine
from sagedock.check.runs.place import Provisions, provisions
from sagedock.check.runs.probe import Probe, TrainingPlan
from sagedock.check.runs.trial import (
    Trial,
    hyperparameters_for,
    metrics_of,
    tell_isolation,
    tell_timing,
    tell_training,
    why_not,
    why_not_served,
)
from sagedock.check.subjects.archive import Archive
from sagedock.check.subjects.request import Request
from sagedock.check.subjects.script import Script
from sagedock.check.wanted import Wanted


def check_on_engine(
    checker: Checker,
    wanted: Wanted,
    scripts: Sequence[Script],
    archive: Archive | None,
    requests: Sequence[Request],
    machine: Callable[[], Machine],
    tell: Tell,
) -> None:
    """Raises CheckError where no engine answers, or it does not have the image."""
    with closing(connect()) as engine:
        image = None
        if wanted.image is not None:
            image = contents_of(engine, wanted.image)
            checker.image(image)
        if not wanted.runs:
            return
        given = provisions(wanted, requests)
        place = Containers(engine, machine(), given)
        if scripts or (image is None and archive is not None):
            Trial(checker, wanted, place, given, tell, image).run(scripts, archive, requests)
        elif image is not None:
            ImageTrial(checker, wanted, place, given, image, tell).run(archive, requests)


@dataclass(frozen=True)
class ImageTrial:
    """Runs the image as jobs and endpoints would, in containers and a folder of the check's own,
    both of which go with it."""

    checker: Checker
    wanted: Wanted
    place: Containers
    given: Provisions
    image: ImageContents
    tell: Tell

    def run(self, archive: Archive | None, requests: Sequence[Request]) -> None:
        """Train and serve the model; or, where there is an archive, serve that."""
        why = why_not(self.checker, self.image)
        if why:
            self._skip("training", why)
            self._skip("hosting", why)
            return
        with Probe(self.place, self.tell) as probe:
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
            hyperparameters=hyperparameters_for(wanted, job, is_framework=False),
            environment=wanted.environment,
            metrics={**metrics_of(job), **wanted.metrics},
            instance_type=self.given.training.instance_type,
            hosts=wanted.instance_count,
            seconds=wanted.seconds,
            grace_seconds=wanted.training_grace,
            resumes=wanted.resume,
            isolated=self.given.training.isolated,
        )
        training, model = probe.train(plan)
        name = self.image.name
        self.checker.look("training", training, name)
        tell_training(self.checker, training)
        tell_isolation(self.checker, self.given.training, self.place, training, name)
        return model if training.went_well else None

    def _serve(self, probe: Probe, model: Path | None) -> None:
        if why := why_not_served(self.image, self.wanted):
            self._skip("hosting", why)
            return
        wanted = self.wanted
        plan = ServingPlan(
            script=TrainingPlan(None, self.image.name).code,
            image=self.image.name,
            stage=_staged(model),
            samples=wanted.samples,
            accepts=wanted.accept,
            environment={**environment_of(self.checker.bodies), **wanted.environment},
            is_serverless=is_serverless(self.checker.bodies),
            startup_seconds=wanted.startup_seconds,
            request_seconds=wanted.request_seconds,
            grace_seconds=wanted.hosting_grace,
        )
        seen = serve(plan, probe)
        self.checker.look("hosting", seen, self.image.name)
        tell_timing(self.checker, seen)
        tell_isolation(self.checker, self.given.hosting, self.place, seen, self.image.name)

    def _skip(self, kind: Kind, why: str) -> None:
        self.checker.skip(kind, self.image.name, why)


def _staged(model: Path | None) -> Callable[[Path], None]:
    """Copies the model into the folder that becomes /opt/ml/model; nothing where there is none."""

    def stage(place: Path) -> None:
        if model is not None:
            shutil.copytree(model, place, dirs_exist_ok=True, symlinks=True)

    return stage
