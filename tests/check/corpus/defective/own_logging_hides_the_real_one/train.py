# finds: SD136
# reported: aws/sagemaker-python-sdk#134
import os

import mxnet as mx

if __name__ == "__main__":
    mx.nd.save(os.environ["SM_MODEL_DIR"] + "/ones", mx.nd.ones(1))
