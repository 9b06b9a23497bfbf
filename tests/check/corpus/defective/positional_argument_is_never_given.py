# finds: SD126
# reported: aws/sagemaker-python-sdk#1225
import argparse
import os

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="train")
    parser.add_argument("folder", metavar="DIR", help="path to the data")
    parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR"))
    args = parser.parse_args()
    print(args.folder)
    open(os.path.join(args.model_dir, "weights"), "wb").close()
