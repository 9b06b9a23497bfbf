"""Packages that scripts of MXNet's time import and that are nowhere here.

`interpreter_start` finds them last, under their own names: a real package always wins.

* `distutils`: gone from Python 3.12; MXNet 1.9.1 and many scripts use `distutils.version`,
  `distutils.util.strtobool` and `distutils.dir_util.copy_tree`.
* `sagemaker_mxnet_container.training_utils`: AWS's helpers for script mode.
* `container_support.serving`: exceptions of the legacy server that user code raises.
* `sagemaker_inference`: errors, decoder, encoder and content types of script mode's server.
"""
