"""CIFAR-10 with Gluon, written for the legacy contract of the MXNet 1.2 containers.

The container imports this file, calls `train` with what it asks for by name, gives the result to
`save`, and serves with `model_fn` and `transform_fn`. As scripts of that time did, it asks for
mx.gpu() without looking.

Channel `training` holds train.rec and test.rec. Hyperparameters: `epochs` (30), or `seconds` to
train by the clock instead; `batch_size` (128), `learning_rate` (0.4), `seed` (1).
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import time

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon
from mxnet.gluon import nn

CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
SHIFT = 2  # pixels


def train(channel_input_dirs, hyperparameters, **_):
    """Train on train.rec and validate on test.rec of the channel `training`; returns the net."""
    folder = channel_input_dirs["training"]
    return fit(
        read(os.path.join(folder, "train.rec")),
        read(os.path.join(folder, "test.rec")),
        mx.gpu(),
        epochs=hyperparameters.get("epochs", 30),
        seconds=hyperparameters.get("seconds"),
        batch_size=hyperparameters.get("batch_size", 128),
        learning_rate=hyperparameters.get("learning_rate", 0.4),
        seed=hyperparameters.get("seed", 1),
    )


def save(net, model_dir):
    """Keep the parameters; the net itself is in this file, which is there when it is served."""
    net.save_parameters(os.path.join(model_dir, "model.params"))


def model_fn(model_dir):
    """The trained net, on the CPU."""
    net = SmallNet()
    net.load_parameters(os.path.join(model_dir, "model.params"), ctx=mx.cpu())
    net.hybridize(static_alloc=True, static_shape=True)
    return net


def transform_fn(net, data, input_content_type, output_content_type):
    """A list of pictures gives the class of the first, as the tutorial's client expects it.

    {"instances": [picture, ...]} gives {"predictions": [...]}: for each picture its label, class,
    confidence and all ten probabilities. A picture is 3 x 32 x 32 numbers from 0 to 255.
    """
    request = json.loads(data)
    with_confidence = isinstance(request, dict)
    pictures = mx.nd.array(request["instances"] if with_confidence else request)
    probabilities = mx.nd.softmax(net(pictures)).asnumpy().astype(float)
    if with_confidence:
        answer = {"predictions": [described(row) for row in probabilities]}
    else:
        answer = float(probabilities[0].argmax())
    return json.dumps(answer), output_content_type


def described(probabilities):
    """One picture's answer in words."""
    label = int(probabilities.argmax())
    return {
        "label": label,
        "class": CLASSES[label],
        "confidence": probabilities[label],
        "probabilities": probabilities.tolist(),
    }


class SmallNet(gluon.HybridBlock):
    """Five small convolutions, 0.14 million parameters, 4.6 million multiplications a picture.

    Made for the minutes that two CPU cores have: on a budget of time a small net that sees every
    picture ten times ends better than a large one that sees them three times. Each pooling stands
    before its batch norm and activation, which then have a quarter of the work.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.first = convolution(16, pool=True)
            self.second = convolution(32, pool=True)
            self.third = convolution(64, pool=True)
            self.residual = convolution(64)
            self.last = convolution(128)
            self.classes = nn.HybridSequential()
            self.classes.add(nn.GlobalMaxPool2D(), nn.Flatten(), nn.Dense(10, use_bias=False))

    def hybrid_forward(self, F, x):
        x = self.third(self.second(self.first((x - 120.0) / 64.0)))
        # Scaled down, the first guesses are modest; without it the first epoch is spent on that.
        return 0.15 * self.classes(self.last(x + self.residual(x)))


def convolution(channels, pool=False):
    """3 x 3 convolution, halving pool where asked for, batch norm, ReLU."""
    block = nn.HybridSequential()
    block.add(nn.Conv2D(channels, 3, padding=1, use_bias=False))
    if pool:
        block.add(nn.MaxPool2D(2))
    block.add(nn.BatchNorm(), nn.Activation("relu"))
    return block


def read(path):
    """All pictures of a .rec file, decoded once: uint8, N x 3 x 32 x 32, and their labels."""
    reader = mx.io.ImageRecordUInt8Iter(
        path_imgrec=path, data_shape=(3, 32, 32), batch_size=500, preprocess_threads=2
    )
    images, labels = [], []
    for batch in reader:
        kept = batch.data[0].shape[0] - batch.pad
        images.append(batch.data[0].asnumpy()[:kept])
        labels.append(batch.label[0].asnumpy()[:kept])
    return np.concatenate(images), np.concatenate(labels)


def fit(train_set, test_set, ctx, *, epochs, seconds, batch_size, learning_rate, seed):
    """Train a SmallNet for `seconds`, or for `epochs` where None; log what each epoch reached.

    The learning rate rises and falls once over the whole run. How far the run is, is read off the
    clock where `seconds` are given: on a slow machine it does fewer steps, but comes down in time.
    """
    began = time.time()
    mx.random.seed(seed)
    random = np.random.RandomState(seed)
    net = new_net(train_set[0], ctx)
    trainer = gluon.Trainer(
        net.collect_params(), "nag", {"learning_rate": learning_rate, "momentum": 0.9, "wd": 5e-4}
    )
    images, labels = train_set
    wide = np.pad(images, ((0, 0), (0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT)), "reflect")
    steps_an_epoch = len(images) // batch_size
    for epoch in itertools.count():
        epoch_began, right = time.time(), []
        for x, y in batches(wide, labels, batch_size, random):
            if seconds:
                progress = (time.time() - began) / seconds
            else:
                progress = (epoch + len(right) / steps_an_epoch) / epochs
            if progress >= 1:
                break
            trainer.set_learning_rate(learning_rate * one_cycle(progress))
            right.append(step(net, trainer, x.as_in_context(ctx), y.as_in_context(ctx)))
            # MXNet computes behind our back: stay one step ahead of it, so that the clock is right
            # and the next batch is cut while this one is computed.
            if len(right) > 1:
                right[-2].wait_to_read()
        if not right:
            break
        seen, accurate = len(right) * batch_size, sum(float(one.asscalar()) for one in right)
        took = time.time() - epoch_began
        logging.info("[Epoch %d] training: accuracy=%f", epoch, accurate / seen)
        logging.info("[Epoch %d] time cost: %.2f s, %.0f images/s", epoch, took, seen / took)
        logging.info("[Epoch %d] validation: accuracy=%f", epoch, accuracy(net, test_set, ctx))
    return net


def new_net(images, ctx):
    """A fresh SmallNet whose first convolution whitens patches of the pictures.

    Neighbouring pixels say nearly the same; filters that are the patches' principal directions,
    each scaled to the same variance, spare the net the epochs it would take to find that out.
    """
    net = SmallNet()
    net.initialize(mx.init.Xavier("gaussian", "in", 2), ctx=ctx)
    net(mx.nd.array(images[:1], ctx=ctx))
    weight = net.first[0].weight
    filters, _, side, _ = weight.shape
    pixels = (images[:4000].astype("float32") - 120.0) / 64.0
    corners = range(0, pixels.shape[2] - side + 1, 3)
    patches = [
        pixels[:, :, top : top + side, left : left + side] for top in corners for left in corners
    ]
    flat = np.concatenate(patches).reshape(-1, 3 * side * side)
    variances, directions = np.linalg.eigh(flat.T @ flat / len(flat))
    strongest = (directions / np.sqrt(variances + 0.01))[:, ::-1].T[: filters // 2]
    both_signs = np.concatenate([strongest, -strongest]).reshape(weight.shape)
    weight.set_data(mx.nd.array(both_signs))
    net.hybridize(static_alloc=True, static_shape=True)
    return net


def batches(wide, labels, size, random):
    """One epoch in a new order; a batch is moved by a few pixels, half of it is mirrored.

    `wide` holds the pictures with SHIFT more pixels on every side. Yields uint8 images and labels
    on the CPU; an incomplete last batch is left out.
    """
    order = random.permutation(len(wide))
    for begin in range(0, len(order) - size + 1, size):
        chosen = order[begin : begin + size]
        top, left = random.randint(0, 2 * SHIFT + 1, 2)
        images = wide[chosen][:, :, top : top + 32, left : left + 32]
        mirrored = random.rand(size) < 0.5
        images[mirrored] = images[mirrored, :, :, ::-1]
        yield mx.nd.array(images, dtype="uint8"), mx.nd.array(labels[chosen])


def step(net, trainer, images, labels):
    """One step of gradient descent on smoothed labels; returns how many guesses were right."""
    targets = mx.nd.one_hot(labels, len(CLASSES), on_value=0.91, off_value=0.01)
    with autograd.record():
        guesses = net(images.astype("float32"))
        loss = -(mx.nd.log_softmax(guesses) * targets).sum(axis=1)
    loss.backward()
    trainer.step(len(images))
    return (guesses.argmax(axis=1) == labels).sum()


def one_cycle(progress, peak=0.2):
    """The learning rate's share of its highest value: up until `peak`, then down to nothing."""
    return progress / peak if progress < peak else (1 - progress) / (1 - peak)


def accuracy(net, pictures, ctx, size=500):
    """The share of pictures that the net gets right, as they are: no mirror, no shift."""
    right = 0
    for begin in range(0, len(pictures[0]), size):
        images, labels = (part[begin : begin + size] for part in pictures)
        guesses = net(mx.nd.array(images, ctx=ctx)).argmax(axis=1).asnumpy()
        right += int((guesses == labels).sum())
    return right / len(pictures[0])
