# finds: SD121
# reported: aws/sagemaker-python-sdk#4247
import argparse
import os


def arguments():
    parser = argparse.ArgumentParser()
    group = parser.add_argument_group("training")
    group.add_argument("--augment", type=bool, default=False)
    parser.add_argument("--model_dir", type=str, default=os.environ.get("SM_MODEL_DIR"))
    return parser.parse_args()


if __name__ == "__main__":
    given = arguments()
    print(given)
    open(os.path.join(given.model_dir, "weights"), "wb").close()
