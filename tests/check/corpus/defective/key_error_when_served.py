# finds: SD108
# reported: aws/sagemaker-python-sdk#155
import os

from mxnet import gluon

CHANNEL = os.environ["SM_CHANNEL_TRAINING"]


def model_fn(model_dir):
    return gluon.SymbolBlock.imports(
        model_dir + "/net-symbol.json", ["data"], model_dir + "/net-0000.params"
    )


def main():
    net = gluon.nn.HybridSequential()
    net.initialize()
    print(os.listdir(CHANNEL))
    net.export(os.environ["SM_MODEL_DIR"] + "/net")


if __name__ == "__main__":
    main()
