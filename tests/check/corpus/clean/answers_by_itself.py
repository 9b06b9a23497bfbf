"""The application of a container of one's own: a WSGI server imports it and calls it."""

import json
import os

from flask import Flask, Response, request

FOLDER = "/opt/ml/model"


class Slope:
    value = None

    @classmethod
    def load(cls):
        if cls.value is None:
            with open(os.path.join(FOLDER, "slope.json")) as file:
                cls.value = json.load(file)
        return cls.value


app = Flask(__name__)


@app.route("/ping")
def healthy():
    return Response(status=200 if Slope.load() else 404)


@app.route("/invocations", methods=["POST"])
def answer():
    return Response(json.dumps([Slope.load() * row for row in request.json]))
