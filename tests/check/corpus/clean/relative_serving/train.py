# options: --framework-version 1.9.0
import os

import mxnet as mx

from common import FILE

if __name__ == "__main__":
    mx.nd.save(os.path.join(os.environ["SM_MODEL_DIR"], FILE), mx.nd.ones(2))
