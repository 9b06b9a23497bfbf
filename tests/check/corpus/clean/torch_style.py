"""PyTorch: another image, with its own order of things."""

import argparse
import json
import os

import torch
import torch.nn as nn
from torchvision import models


class Net(nn.Module):
    def forward(self, x):
        return models.resnet18()(x)


def model_fn(model_dir, context):
    return torch.jit.load(os.path.join(model_dir, "model.pth"))


def input_fn(body, content_type, context):
    return torch.tensor(json.loads(body))


def predict_fn(data, model, context):
    return model(data)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--model-dir", default=os.environ["SM_MODEL_DIR"])
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.save(Net().to(device).state_dict(), os.path.join(args.model_dir, "model.pth"))
