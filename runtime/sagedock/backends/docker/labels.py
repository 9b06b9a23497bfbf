"""Labels of everything that we start on an engine: by them it is found again, and cleaned."""

from typing import Final

HOME: Final = "sagedock.home"
"""Digest of the home whose emulator owns it: two emulators never touch each other's."""

RUN: Final = "sagedock.run"
WORKDIR: Final = "sagedock.workdir"
NETWORK: Final = "sagedock.network"
COPIED: Final = "sagedock.copied"
"""On a container: JSON of [outside, inside, read-only], where folders are copied, not shown."""

OWNER: Final = "sagedock.owner"
"""On a container that runs as root for another user: uid:gid to give its files to."""

MEMORY: Final = "sagedock.memory"
"""On a container: the limit in bytes that it was given."""

ISOLATED: Final = "sagedock.isolated"
"""On a container without a network, whose server is reached by a relay."""

GPUS: Final = "sagedock.gpus"
"""On a container: UUIDs of the GPUs that it was given, with commas."""

CHECK: Final = "sagedock.check"
"""On a container of `sagedock check`, the image's name: made to be looked into and never started,
or one of its runs."""

FAMILY: Final = "sagedock.family"
ARCHITECTURES: Final = "sagedock.gpu.architectures"
"""On images of ours."""
