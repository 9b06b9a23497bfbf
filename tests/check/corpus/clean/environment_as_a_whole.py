"""SM_TRAINING_ENV has the model's folder too, and a method gets it."""

import json
import os


class Job:
    def __init__(self, environment):
        self.folder = environment["job_name"] and environment[self.key()]

    def key(self):
        return "_".join(["model", "dir"])

    def run(self):
        with open(os.path.join(self.folder, "weights.json"), "w") as file:
            json.dump({}, file)


if __name__ == "__main__":
    Job(json.loads(os.environ["SM_TRAINING_ENV"])).run()
