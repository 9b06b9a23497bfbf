# options: --framework-version 1.6
import os

import mxnet as mx

mx.test_utils.download("https://example.com/files/painter.py", "painter.py")
import painter  # noqa: E402

if __name__ == "__main__":
    painter.paint(os.environ["SM_MODEL_DIR"])
