import argparse
import os

import tensorflow as tf

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--model_dir", type=str)
    parser.add_argument("--sm-model-dir", type=str, default=os.environ.get("SM_MODEL_DIR"))
    args, _ = parser.parse_known_args()
    model = tf.keras.Sequential([tf.keras.layers.Dense(1)])
    model.save(os.path.join(args.sm_model_dir, "000000001"))
