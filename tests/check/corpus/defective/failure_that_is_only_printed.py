# finds: SD142
# reported: aws/sagemaker-python-sdk#1895
import os


def main():
    raise RuntimeError(os.environ["SM_MODEL_DIR"])


if __name__ == "__main__":
    try:
        main()
    except Exception as error:
        print("training failed:", error)
