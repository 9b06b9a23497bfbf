"""Which rules of hosting apply: three stacks of AWS's, told apart by framework version.

=======  ===============  ================================  =====================================
name     framework        AWS's stack                       user code
=======  ===============  ================================  =====================================
LEGACY   before 1.3       nginx, gunicorn, Flask            /opt/ml/code, from its own archive
EARLY    1.3 to 1.4.0     nginx, gunicorn, Flask            /opt/ml/code, requirements at the root
MODERN   1.4.1 and later  multi-model-server (MMS)          /opt/ml/model/code
=======  ===============  ================================  =====================================

Sources: sagemaker-mxnet-training-toolkit 9c46128 with sagemaker-container-support 1.1.3 (LEGACY),
its v2.0.0 with sagemaker-containers 2.2.5 (EARLY), sagemaker-mxnet-inference-toolkit 1.5 with
sagemaker-inference-toolkit 1.6.1 and multi-model-server 1.1.8 (MODERN).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import Enum

from sagedock_toolkit.environment import framework_version
from sagedock_toolkit.paths import Paths


class Generation(Enum):
    """One of the three serving stacks; the value is its name in the log."""

    LEGACY = "legacy (before 1.3)"
    EARLY = "early script mode (1.3 to 1.4.0)"
    MODERN = "script mode (1.4.1 and later)"

    @classmethod
    def read(cls, paths: Paths, environ: Mapping[str, str]) -> Generation:
        """By SAGEDOCK_FRAMEWORK_VERSION; where that is absent, by where the code lies.

        AWS rebuilt the 1.4.0 images with the later stack and the SDK then packed the code into the
        model archive, so for that one version the place of the code decides too.
        """
        code_in_model = os.path.isdir(os.path.join(paths.model, "code"))
        version = framework_version(environ)
        if version is None:
            archive = environ.get("SAGEMAKER_SUBMIT_DIRECTORY", "")
            separate = archive.startswith(("s3://", "file://")) and not code_in_model
            return cls.LEGACY if separate else cls.MODERN
        if version < (1, 3):
            return cls.LEGACY
        if version < (1, 4) or (version < (1, 4, 1) and not code_in_model):
            return cls.EARLY
        return cls.MODERN


def modern_code(paths: Paths, environ: Mapping[str, str]) -> str:
    """The folder of the code of the generation MODERN: `code` in the model, where the SDK packs it.

    The SDK's local mode leaves it where it is (`local_code`), mounts that folder and names
    it. AWS's images do not look there.
    """
    in_model = os.path.join(paths.model, "code")
    named = environ.get("SAGEMAKER_SUBMIT_DIRECTORY", "")
    return named if os.path.isdir(named) and not os.path.isdir(in_model) else in_model
