import argparse
import os
import sys

code = 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("rest", nargs=argparse.REMAINDER)
    parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR"))
    args = parser.parse_args()
    print(args)
    open(os.path.join(args.model_dir, "weights"), "wb").close()


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
