# finds: SD122
# reported: aws/sagemaker-training-toolkit#117
import argparse
import os

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--early-stopping", dest="stop", action="store_true")
    parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR"))
    args = parser.parse_args()
    print(args.stop)
    open(os.path.join(args.model_dir, "weights"), "wb").close()
