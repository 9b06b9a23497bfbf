"""What `sagedock check --job` refuses, an emulator refuses too: they never disagree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from check.cases import STATIC_DEFECTIVE, Case
from sagedock.check.subjects.request import read_requests

REFUSED_BY_THE_SERVICE = {
    "SD201": "the type",
    "SD203": "what is missing",
    "SD204": "the value",
    "SD206": "the role",
    "SD207": "the instance type",
    "SD220": "the algorithm",
    "SD221": "the channels",
    "SD227": "the times",
    "SD231": "the instance groups",
    "SD240": "the containers",
    "SD246": "the volume",
}
"""Rules whose defects the service itself finds when the resource is created; those of others
come out when it runs."""
ALSO = {"gzip_in_the_input_mode_file"}
"""Of a rule whose other defects come out when it runs."""

CASES = [
    case for case in STATIC_DEFECTIVE
    if "--job" in case.head("run")
    and (case.head("finds") in REFUSED_BY_THE_SERVICE or case.name in ALSO)
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_request_that_the_check_refuses_is_refused(
    case: Case, client: Any, tmp_path: Path
) -> None:
    files = [tmp_path / word for word in case.laid_out(tmp_path) if word.endswith(".json")]
    (request,) = read_requests(files)
    sagemaker = client("sagemaker", parameter_validation=False)
    name = {"CreateTrainingJob": "create_training_job", "CreateModel": "create_model"}
    method = name.get(request.operation, "create_endpoint_config")
    with pytest.raises(ClientError) as refused:
        getattr(sagemaker, method)(**json.loads(files[0].read_text(encoding="utf-8")))
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert "No S3 objects found" not in str(refused.value)
    assert "Could not find model" not in str(refused.value)
