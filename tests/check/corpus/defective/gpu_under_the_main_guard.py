# finds: SD141
# reported: aws/sagemaker-python-sdk#4196
# options: --framework-version 1.9.0 --instance-type ml.m5.xlarge
import os

import mxnet as mx

if __name__ == "__main__":
    device = mx.gpu(0)
    net = mx.gluon.nn.Dense(10)
    net.initialize(ctx=device)
    net(mx.nd.zeros((1, 4), ctx=device))
    net.save_parameters(os.path.join(os.environ["SM_MODEL_DIR"], "net.params"))
