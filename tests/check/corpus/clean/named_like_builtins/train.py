import os

import stat


def main():
    path = os.path.join(os.environ["SM_MODEL_DIR"], "weights.bin")
    with open(path, "wb") as file:
        file.write(b"\0" * 8)
    os.chmod(path, stat.S_IRUSR)


if __name__ == "__main__":
    main()
