# finds: SD121
# reported: aws/sagemaker-python-sdk#613
from argparse import ArgumentParser

if __name__ == "__main__":
    parser = ArgumentParser()
    parser.add_argument("--layers", type=list, default=[64, 32])
    parser.add_argument("--model-dir", default="/opt/ml/model")
    options = parser.parse_args()
    print(options.layers)
    open(f"{options.model_dir}/weights", "wb").close()
