# finds: SD123
# reported: aws/sagemaker-python-sdk#302
import argparse
import os


def fit(count, rate):
    weight = 0.0
    for _ in range(count):
        weight += float(rate)
    return weight


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", "-e", default=10, help="rounds")
    parser.add_argument("--rate", type=float, default=0.1)
    args, unknown = parser.parse_known_args()
    with open(os.path.join(os.environ["SM_MODEL_DIR"], "weight"), "w") as file:
        file.write(str(fit(args.epochs, args.rate)))


if __name__ == "__main__":
    main()
