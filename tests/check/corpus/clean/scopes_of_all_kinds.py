"""Names from every scope that Python has: none is missing, whoever imports this."""

import json
import os
from functools import lru_cache

LIMIT = 3
counter: "Later | None" = None


class Settings:
    folder = "weights"
    files = [f"{name}-{LIMIT}" for name in folder.split()]

    def __init__(self, *, rate=LIMIT, **others):
        self._rate = rate
        self.others = {key: value for key, value in others.items() if (found := value)}
        self.last = found if self.others else None

    @property
    def rate(self):
        return self._rate

    @rate.setter
    def rate(self, value):
        self._rate = value

    def named(self, suffix=folder):
        return f"{suffix}-{__class__.__name__}"


class Later(Settings):
    pass


@lru_cache(maxsize=LIMIT)
def layers(depth):
    def deeper(width):
        nonlocal depth
        depth -= 1
        return [width] + ([] if not depth else deeper(width // 2))

    return deeper(64)


def count():
    global counted
    counted = LIMIT
    try:
        text = unicode  # noqa: F821
    except NameError:
        text = str
    return text(counted)


def model_fn(model_dir):
    with open(os.path.join(model_dir, "settings.json")) as file:
        return json.load(file)


def transform_fn(model, data, content_type, accept):
    rows = json.loads(data)
    return json.dumps({"rows": rows, "rate": model["rate"], "count": count()}), accept


def main():
    print(layers(2), args.folder, (lambda width, depth=LIMIT: width * depth)(2))


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", default=os.environ.get("SM_MODEL_DIR"))
    args = parser.parse_args()
    main()
    settings = Later(rate=1)
    settings.rate = LIMIT
    with open(os.path.join(args.folder, "settings.json"), "w") as file:
        json.dump({"rate": settings.rate, "name": settings.named()}, file)
