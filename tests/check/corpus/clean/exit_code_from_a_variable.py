import argparse
import os
import sys

code = 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("rest", nargs=argparse.REMAINDER)
    parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR"))
    print(parser.parse_args())


def again(depth):
    return twice(depth)


def twice(depth):
    return again(depth)


if __name__ == "__main__":
    left = twice
    try:
        main()
        code = 0
    except Exception as error:
        print(error)
    sys.exit(code)
