"""Truths that arrive as text, and are read as such."""

import argparse
import json
import os


def truth(text):
    return str(text).lower() in ("true", "1", "yes")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--shuffle", default=True)
    parser.add_argument("--augment", type=str, default=False)
    parser.add_argument("--resume", type=truth, default=False)
    parser.add_argument("--mixed", default=False)
    parser.add_argument("--hosts", type=json.loads, default=os.environ.get("SM_HOSTS", "[]"))
    parser.add_argument("--all", type=list, default=os.environ.get("SM_HOSTS", "").split(","))
    parser.add_argument("--minutes", type=str, default=5)
    parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR"))
    args = parser.parse_args()
    mixed = truth(args.mixed)
    seconds = 60 * float(args.minutes)
    told = {"shuffle": args.shuffle in (True, "True"), "mixed": bool(mixed), "seconds": seconds, "all": args.all}
    if args.augment and args.augment.lower() == "true":
        told["augment"] = "yes"
    if not args.resume and len(args.hosts) < 2:
        told["fresh"] = "yes"
    with open(os.path.join(args.model_dir, "told.json"), "w") as file:
        json.dump(told, file)
