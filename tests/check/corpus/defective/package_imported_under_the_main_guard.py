# finds: SD134
# reported: aws/sagemaker-python-sdk#911
# options: --framework-version 1.9.0
import os

import mxnet as mx

if __name__ == "__main__":
    from imgaug import augmenters

    flip = augmenters.Fliplr(0.5)
    images = mx.nd.zeros((4, 32, 32, 3), dtype="uint8").asnumpy()
    net = mx.gluon.nn.Dense(10)
    net.initialize()
    net(mx.nd.array(flip(images=images)))
    net.save_parameters(os.path.join(os.environ["SM_MODEL_DIR"], "net.params"))
