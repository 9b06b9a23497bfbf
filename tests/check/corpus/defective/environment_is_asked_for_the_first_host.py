# finds: SD106
# reported: aws/sagemaker-python-sdk#3455
import json
import os


def main(master):
    with open("weights.json", "w") as file:
        json.dump({"trained_by": master}, file)


if __name__ == "__main__":
    main(json.loads(os.environ["SM_TRAINING_ENV"])["current_host"])
