# finds: SD128
# reported: aws/amazon-sagemaker-examples#995
# options: --channel train --channel test
import argparse
import os

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--train", default=os.environ["SM_CHANNEL_TRAIN"])
    parser.add_argument("--validation", default=os.environ["SM_CHANNEL_VALIDATION"])
    parser.add_argument("--model-dir", default=os.environ["SM_MODEL_DIR"])
    args = parser.parse_args()
    print(args)
    open(os.path.join(args.model_dir, "weights"), "wb").close()
