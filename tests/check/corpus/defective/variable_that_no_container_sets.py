# finds: SD127
# reported: aws/sagemaker-python-sdk#658
import os


def main():
    for name in os.listdir(os.environ["SM_DATA_DIR"]):
        print(name, os.environ["SM_MODEL_DIR"])


if __name__ == "__main__":
    main()
