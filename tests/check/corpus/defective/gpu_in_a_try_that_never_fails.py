# finds: SD141
# reported: apache/mxnet#4691
# options: --instance-type ml.m5.xlarge
import os

import mxnet as mx


def device():
    try:
        found = mx.gpu(0)
    except Exception:
        found = mx.cpu()
    return found


if __name__ == "__main__":
    mx.nd.save(os.path.join(os.environ["SM_MODEL_DIR"], "ones"), mx.nd.ones(3, ctx=device()))
