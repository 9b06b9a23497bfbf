"""Where and how a model is to be hosted, as the requests say that are checked with it."""

from __future__ import annotations

from collections.abc import Sequence

from sagedock.check.runs.probe import NOWHERE
from sagedock.check.subjects.request import Request

_OURS = ("SAGEMAKER_PROGRAM", "SAGEMAKER_SUBMIT_DIRECTORY", "SAGEMAKER_REGION", *NOWHERE)
"""Where the code lies, and where AWS calls lead: a check decides that itself."""


def environment_of(requests: Sequence[Request]) -> dict[str, str]:
    """The Environment of the only CreateModel; nothing of several."""
    models = [one for one in requests if one.operation == "CreateModel"]
    if len(models) != 1:
        return {}
    given = models[0].get("PrimaryContainer", "Environment", default={})
    return {name: value for name, value in given.items() if name not in _OURS}


def instance_type_of(requests: Sequence[Request]) -> str | None:
    """That of the first variant of a CreateEndpointConfig."""
    for one in requests:
        if one.operation == "CreateEndpointConfig":
            found = one.get("ProductionVariants", 0, "InstanceType")
            return None if found is None else str(found)
    return None


def is_serverless(requests: Sequence[Request]) -> bool:
    """Whether all variants of a CreateEndpointConfig are."""
    configs = [one for one in requests if one.operation == "CreateEndpointConfig"]
    variants = [v for one in configs for v in one.get("ProductionVariants", default=[])]
    return bool(variants) and all("ServerlessConfig" in variant for variant in variants)
