"""A package: the entry point only starts it."""

from trainer.loop import run

if __name__ == "__main__":
    run()
