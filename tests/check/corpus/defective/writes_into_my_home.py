# finds: SD140
# reported: aws/sagemaker-python-sdk#1895
import os

if __name__ == "__main__":
    print(os.path.exists(os.environ["SM_CHANNEL_TRAINING"]), os.environ["SM_MODEL_DIR"])
    with open("/home/ada/model/weights", "wb") as file:
        file.write(b"1")
