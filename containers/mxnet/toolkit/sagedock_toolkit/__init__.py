"""sagedock_toolkit: the container's side of the SageMaker contract, for MXNet and plain Python."""

__version__ = "0.1.0"
