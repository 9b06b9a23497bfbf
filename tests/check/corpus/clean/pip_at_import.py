# options: --framework-version 1.6
import os
import subprocess
import sys

subprocess.check_call([sys.executable, "-m", "pip", "install", "sacremoses", "jieba==0.42"])

import jieba  # noqa: E402
import mxnet as mx  # noqa: E402
import sacremoses  # noqa: E402

if __name__ == "__main__":
    print(jieba, sacremoses)
    mx.nd.save(os.environ["SM_MODEL_DIR"] + "/ones", mx.nd.ones(1))
