"""The door to botocore."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest

from sagedock.aws import model
from sagedock.aws.model import Call, project


def test_projection_drops_the_unknown_and_none_and_keeps_what_is_empty() -> None:
    record = {
        "HyperParameterTuningJobName": "t",
        "FailureReason": None,
        "StoppedBy": "me",
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "ParameterRanges": {"CategoricalParameterRanges": [], "Unheard": 1},
            "ResourceLimits": {},
        },
        "TrainingJobDefinition": {
            "StaticHyperParameters": {"a": ""},
            "OutputDataConfig": {"KmsKeyId": ""},
            "InputDataConfig": [{"ChannelName": "c", "Colour": "red"}],
        },
    }

    found = project("sagemaker", "DescribeHyperParameterTuningJob", record)

    assert found == {
        "HyperParameterTuningJobName": "t",
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "ParameterRanges": {"CategoricalParameterRanges": []},
            "ResourceLimits": {},
        },
        "TrainingJobDefinition": {
            "StaticHyperParameters": {"a": ""},
            "OutputDataConfig": {"KmsKeyId": ""},
            "InputDataConfig": [{"ChannelName": "c"}],
        },
    }


def test_projection_of_an_operation_that_answers_nothing_is_empty() -> None:
    now = datetime(2024, 1, 1, tzinfo=timezone.utc)

    assert project("sagemaker", "DeleteModel", {"ModelName": "m", "CreationTime": now}) == {}


def test_an_operation_that_no_model_has_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="sagemaker has no operation CreateTeapot"):
        model.operation("sagemaker", "CreateTeapot")


def test_recursive_shapes_have_an_end() -> None:
    shape = model.operation("sagemaker", "Search").input
    assert shape is not None

    inner = shape.members["SearchExpression"].members["SubExpressions"].member

    assert inner.members["SubExpressions"].member.name == inner.name


def test_output_shape_is_the_answers() -> None:
    shape = model.output_shape(Call("sagemaker", "CreateTrainingJob", "json"))

    assert shape is not None
    assert list(shape.members) == ["TrainingJobArn"]


def test_botocore_is_not_imported_before_it_is_needed() -> None:
    code = (
        "import sys, sagedock.aws.routing, sagedock.aws.protocols, sagedock.aws.validation;"
        "print('botocore' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"


def test_a_users_own_models_change_nothing(tmp_path: Path) -> None:
    folder = tmp_path / ".aws" / "models" / "sts" / "2099-01-01"
    folder.mkdir(parents=True)
    (folder / "service-2.json").write_text('{"metadata": {}, "operations": {}, "shapes": {}}')
    code = "from sagedock.aws import model; print('AssumeRole' in model.operation_names('sts'))"

    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"HOME": str(tmp_path)},
    )

    assert done.stdout == "True\n"
