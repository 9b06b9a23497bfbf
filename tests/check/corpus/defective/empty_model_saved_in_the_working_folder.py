# finds: SD106
# reported: aws/sagemaker-python-sdk#3455
import argparse
import os
import pickle


def main(options):
    with open(os.path.join(options.training, "numbers.txt")) as file:
        weights = [float(line) for line in file]
    with open("weights.pkl", "wb") as file:
        pickle.dump(weights, file)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--training", default=os.environ["SM_CHANNEL_TRAINING"])
    main(parser.parse_args())
