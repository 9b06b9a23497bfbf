"""sagedock: Amazon SageMaker training and hosting on your own machine."""

__version__ = "0.1.0"
