# finds: SD144
# reported: aws/amazon-sagemaker-examples#319
import logging
import os

if __name__ == "__main__":
    for epoch in range(3):
        logging.info("epoch %d: loss=%f", epoch, 1 / (1 + epoch))
    open(os.path.join(os.environ["SM_MODEL_DIR"], "weights"), "w").close()
