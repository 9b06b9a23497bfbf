# finds: SD133
# reported: aws/amazon-sagemaker-examples mxnet_horovod_mnist
import argparse
import os


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--hosts", type=list, default=json.loads(os.environ["SM_HOSTS"]))
    parser.add_argument("--model-dir", default=os.environ["SM_MODEL_DIR"])
    return parser.parse_args()


if __name__ == "__main__":
    args = parse()
    print(args.hosts)
    open(os.path.join(args.model_dir, "weights"), "wb").close()
