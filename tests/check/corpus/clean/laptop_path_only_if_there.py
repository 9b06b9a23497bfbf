import os

LAPTOP = "/home/ada/data"
FOLDER = LAPTOP if os.path.isdir(LAPTOP) else os.environ["SM_CHANNEL_TRAINING"]
FALLBACK = os.environ.get("SM_OUTPUT_DATA_DIR", "/home/ada/out")

if __name__ == "__main__":
    print(os.listdir(FOLDER))
    with open(os.path.join(os.environ["SM_MODEL_DIR"], "names"), "w") as file:
        file.write(FALLBACK)
