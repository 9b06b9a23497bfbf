"""For pytest: a project's contract as test items, and fixtures for tests of its own.

`pytest --sagedock-contract sagedock.toml` adds one item a rule. The fixtures `sagedock`,
`sagemaker_client`, `trained_model` and `endpoint` give a running emulator, a client for it, the
project's script trained in it, and its model deployed. Nothing of sagedock is imported before one
of these is used: every pytest of an environment with sagedock in it loads this file.
"""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sagedock.check.configuration import Configuration
    from sagedock.check.findings import Finding, Report
    from sagedock.check.rules.rule import Rule
    from sagedock.check.subjects.script import Script
    from sagedock.emulator import Emulator

_ROLE = "arn:aws:iam::000000000000:role/SageMaker"
_BUCKET = "sagedock-contract"
_SECONDS = 900.0
_SHARED = pytest.StashKey[Path]()
_RUNS = "SD501"
"""The rule whose item fails where what was to be run could not be: every run has it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("sagedock", "SageMaker's contract, checked on this machine")
    group.addoption(
        "--sagedock-contract",
        metavar="TOML",
        help="check the target that sagedock.toml (or pyproject.toml) declares, an item a rule",
    )


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config,
                                  items: list[pytest.Item]) -> None:  # fmt: skip
    file = config.getoption("--sagedock-contract")
    if file:
        contract = Contract(config.invocation_params.dir / file, _shared_folder(config))
        items += [
            ContractItem.from_parent(
                session,
                name=f"{rule.id} {rule.name}",
                nodeid=f"{contract.file.name}::{rule.id} {rule.name}",
                rule=rule,
                contract=contract,
            )
            for rule in contract.rules
        ]  # fmt: skip


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """pytest-xdist's own way to tell its workers something: the folder by which one of them checks
    for all."""
    if node.config.getoption("--sagedock-contract"):
        if _SHARED not in node.config.stash:
            node.config.stash[_SHARED] = Path(tempfile.mkdtemp(prefix="sagedock-contract-"))
        node.workerinput["sagedock_contract"] = str(node.config.stash[_SHARED])


def pytest_unconfigure(config: pytest.Config) -> None:
    if _SHARED in config.stash:
        shutil.rmtree(config.stash[_SHARED], ignore_errors=True)


def _shared_folder(config: pytest.Config) -> Path | None:
    """None outside of xdist, and for a worker on another machine."""
    told = getattr(config, "workerinput", {}).get("sagedock_contract")
    return Path(told) if told and Path(told).is_dir() else None


class Contract:
    """The target of a file, and what a check of it finds: checked once, when the first item
    runs; of several processes with a folder in common by one of them."""

    def __init__(self, file: Path, folder: Path | None = None) -> None:
        self.file, self.folder = file, folder

    @cached_property
    def configuration(self) -> Configuration:
        from sagedock.check.configuration import configured_in
        from sagedock.errors import CheckError

        try:
            found = configured_in(self.file)
        except CheckError as error:
            raise pytest.UsageError(str(error)) from error
        if found is None or found.target.is_empty:
            raise pytest.UsageError(f"{self.file} declares no target: it needs [check] and a path.")
        return found

    @cached_property
    def rules(self) -> list[Rule[Any]]:
        from sagedock.check.rules.catalogue import RULES
        from sagedock.check.whole import kinds

        wanted = kinds(self.configuration.target)
        return [rule for rule in RULES if rule.kind in wanted and self._choice.takes(rule)]

    @property
    def _choice(self) -> Any:
        from sagedock.check.checker import Choice
        from sagedock.check.rules.shelves import named

        project = self.configuration
        select = None if project.select is None else named(project.select)
        return Choice(select, named(project.ignore), named(project.warn))

    @cached_property
    def report(self) -> Report:
        from sagedock.check.reports.shared import shared

        return self._checked() if self.folder is None else shared(self.folder, self._checked)

    def _checked(self) -> Report:
        from sagedock.check.whole import checked
        from sagedock.settings import Settings

        return checked(self.configuration.target, self._choice, Settings.read, print)


class Broken(Exception):
    """A rule is broken; the argument are its findings, for people."""


class ContractItem(pytest.Item):
    """One rule."""

    def __init__(self, *, rule: Rule[Any], contract: Contract, **more: Any) -> None:
        super().__init__(**more)
        self.rule, self.contract = rule, contract
        self.extra_keyword_matches.add("sagedock")  # pytest -k sagedock

    def runtest(self) -> None:
        from sagedock.check.reports.report import told

        report = self.contract.report
        found = [finding for finding in report.findings if finding.rule == self.rule.id]
        looked = [looked for looked in report.checked if looked.rule == self.rule.id]
        if advice := [finding for finding in found if finding.level == "advice"]:
            self.add_report_section("call", "advice", _together(advice))
        if wrong := [finding for finding in found if finding.level != "advice"]:
            raise Broken("\n\n".join(told(finding) for finding in wrong))
        if report.not_run and self.rule.id == _RUNS:
            raise Broken("\n".join(f"Not run: {sentence}." for sentence in report.not_run))
        if looked and all(one.skipped for one in looked):
            pytest.skip(looked[0].skipped)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, Broken):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.contract.file, None, self.name


def _together(findings: list[Finding]) -> str:
    from sagedock.check.reports.report import told

    return "\n\n".join(told(finding) for finding in findings)


# --- fixtures ---------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def sagedock() -> Iterator[Emulator]:
    """A running emulator with a temporary home: `boto3.client(…, **sagedock.client_kwargs)`."""
    from sagedock.emulator import Emulator
    from sagedock.settings import Settings

    with Emulator(frameworks=Settings.read().frameworks) as dock:
        yield dock


@pytest.fixture(scope="session")
def sagemaker_client(sagedock: Emulator) -> Any:
    """boto3's client for SageMaker in the emulator."""
    return _client(sagedock, "sagemaker")


@dataclass(frozen=True)
class TrainedModel:
    """The project's script after a training job: `uri` is its model.tar.gz, `job` what
    DescribeTrainingJob tells; `takes_code` where an endpoint wants the code in the archive."""

    uri: str
    job: dict[str, Any]
    image: str
    script: Script
    takes_code: bool


@dataclass(frozen=True)
class ContractEndpoint:
    """An endpoint that is in service."""

    name: str
    runtime: Any

    def invoke(
        self, body: bytes, content_type: str = "application/json", accept: str | None = None
    ) -> bytes:
        """The answer's body. Raises botocore's ClientError for a ModelError."""
        more = {} if accept is None else {"Accept": accept}
        told = self.runtime.invoke_endpoint(
            EndpointName=self.name, Body=body, ContentType=content_type, **more
        )
        content: bytes = told["Body"].read()
        return content


@pytest.fixture(scope="session")
def trained_model(sagedock: Emulator, pytestconfig: pytest.Config) -> TrainedModel:
    """The target of --sagedock-contract (else of the nearest sagedock.toml), trained in the
    emulator with its channels and hyperparameters."""
    from sagedock.check.runs.trial import code_in_model, image_for
    from sagedock.check.subjects.script import read
    from sagedock.check.target import Target

    target = _contract(pytestconfig).configuration.target
    if target.path is None:
        pytest.fail("the target has no path: there is no script to train")
    script = read(target.path, target.entry_point)[0]
    meant = Target(target.framework_version, target.instance_type).validated()
    image, why = image_for(script.modules, meant, script.requirements)
    if image is None:
        pytest.skip(why)
    s3, sagemaker = _client(sagedock, "s3"), _client(sagedock, "sagemaker")
    s3.create_bucket(Bucket=_BUCKET)
    s3.put_object(Bucket=_BUCKET, Key="code/sourcedir.tar.gz", Body=_packed(script))
    channels = []
    for name, folder in target.channels.items():
        if folder is not None:
            _put(s3, folder, f"data/{name}/")
            source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{_BUCKET}/data/{name}/"}
            channels.append({"ChannelName": name, "DataSource": {"S3DataSource": source}})
    own = {
        "sagemaker_program": script.entry.path.relative_to(script.root).as_posix(),
        "sagemaker_submit_directory": f"s3://{_BUCKET}/code/sourcedir.tar.gz",
        "sagemaker_region": sagedock.settings.region,
    }
    given = {**(target.hyperparameters or {}), **own}
    sagemaker.create_training_job(
        TrainingJobName="contract",
        RoleArn=_ROLE,
        AlgorithmSpecification={"TrainingImage": image, "TrainingInputMode": "File"},
        HyperParameters={name: json.dumps(value) for name, value in given.items()},
        OutputDataConfig={"S3OutputPath": f"s3://{_BUCKET}/models"},
        ResourceConfig={"InstanceType": target.instance_type or "ml.m5.large",
                        "InstanceCount": target.instance_count, "VolumeSizeInGB": 10},
        StoppingCondition={"MaxRuntimeInSeconds": 3600},
        **({"InputDataConfig": channels} if channels else {}),
        **({"Environment": dict(target.environment)} if target.environment else {}),
    )  # fmt: skip
    job = _settled(lambda: sagemaker.describe_training_job(TrainingJobName="contract"),
                   "TrainingJobStatus", ("Completed", "Failed", "Stopped"))  # fmt: skip
    if job["TrainingJobStatus"] != "Completed":
        pytest.fail(f"the training job is {job['TrainingJobStatus']}: {job.get('FailureReason')}")
    uri = job["ModelArtifacts"]["S3ModelArtifacts"]
    return TrainedModel(uri, job, image, script, code_in_model(meant, script.entry))


@pytest.fixture(scope="session")
def endpoint(sagedock: Emulator, trained_model: TrainedModel) -> ContractEndpoint:
    """The trained model, deployed as the SageMaker SDK does: from MXNet 1.4 on with the code in
    its archive."""
    from sagedock.check.runs.trial import served_entry

    s3, sagemaker = _client(sagedock, "s3"), _client(sagedock, "sagemaker")
    script = trained_model.script
    program = served_entry(script)
    environment = {"SAGEMAKER_PROGRAM": program, "SAGEMAKER_REGION": sagedock.settings.region}
    uri = trained_model.uri
    if trained_model.takes_code:
        key = uri.removeprefix(f"s3://{_BUCKET}/")
        model = s3.get_object(Bucket=_BUCKET, Key=key)["Body"].read()
        s3.put_object(Bucket=_BUCKET, Key="repacked/model.tar.gz", Body=_packed(script, model))
        uri = f"s3://{_BUCKET}/repacked/model.tar.gz"
    else:
        environment["SAGEMAKER_SUBMIT_DIRECTORY"] = f"s3://{_BUCKET}/code/sourcedir.tar.gz"
    container = {"Image": trained_model.image, "ModelDataUrl": uri, "Environment": environment}
    variant = {"VariantName": "AllTraffic", "ModelName": "contract",
               "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}  # fmt: skip
    sagemaker.create_model(ModelName="contract", ExecutionRoleArn=_ROLE, PrimaryContainer=container)
    sagemaker.create_endpoint_config(EndpointConfigName="contract", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="contract", EndpointConfigName="contract")
    found = _settled(lambda: sagemaker.describe_endpoint(EndpointName="contract"),
                     "EndpointStatus", ("InService", "Failed"))  # fmt: skip
    if found["EndpointStatus"] != "InService":
        pytest.fail(f"the endpoint is Failed: {found.get('FailureReason')}")
    return ContractEndpoint("contract", _client(sagedock, "sagemaker-runtime"))


def _contract(config: pytest.Config) -> Contract:
    file = config.getoption("--sagedock-contract")
    if file:
        return Contract(config.invocation_params.dir / file)
    for name in ("sagedock.toml", "pyproject.toml"):
        if (config.rootpath / name).is_file():
            return Contract(config.rootpath / name)
    pytest.fail("no sagedock.toml: say what is to be trained, or name it with --sagedock-contract")


def _client(dock: Emulator, service: str) -> Any:
    boto3 = pytest.importorskip("boto3", reason="the fixture needs boto3")
    return boto3.client(service, **dock.client_kwargs)


def _packed(script: Script, model: bytes | None = None) -> bytes:
    """The script's files as one archive; with a model, that with them below code/."""
    from sagedock.check.runs.probe import copied_code

    with tempfile.TemporaryDirectory() as folder:
        code = copied_code(script, Path(folder) / "code")
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz") as tar:
            if model is not None:
                with tarfile.open(fileobj=io.BytesIO(model), mode="r:gz") as trained:
                    for member in trained:
                        tar.addfile(member, trained.extractfile(member))
            tar.add(code, arcname="code" if model is not None else ".")
        return out.getvalue()


def _put(s3: Any, source: Path, prefix: str) -> None:
    files = [source] if source.is_file() else [p for p in source.rglob("*") if p.is_file()]
    root = source.parent if source.is_file() else source
    for file in files:
        key = prefix + file.relative_to(root).as_posix()
        s3.upload_file(str(file), _BUCKET, key)


def _settled(ask: Any, member: str, ends: tuple[str, ...]) -> dict[str, Any]:
    deadline = time.monotonic() + _SECONDS
    while True:
        found: dict[str, Any] = ask()
        if found[member] in ends:
            return found
        if time.monotonic() > deadline:
            pytest.fail(f"still {found[member]} after {_SECONDS:.0f} s")
        time.sleep(0.2)
