# finds: SD132
# reported: aws/amazon-sagemaker-examples#3444
# options: --framework-version 1.9.0
import os

import mxnet as mx

if __name__ == "__main__":
    place = os.path.join(os.environ["SM_MODEL_DIR"], "net.params")
    with (
        open(place + ".txt", "w") as notes,
        mx.Context("cpu", 0),
    ):
        notes.write("a net")
        net = mx.gluon.nn.Dense(1)
        net.initialize()
        net(mx.nd.zeros((1, 2)))
        net.save_parameters(place)
