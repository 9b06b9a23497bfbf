"""`python -m sagedock_toolkit train` and `… serve`: what a SageMaker image runs.

Each half is imported only when asked for: a training job needs no server, and starts sooner.
"""

import sys

if sys.argv[1:] == ["train"]:
    from sagedock_toolkit.training import main
elif sys.argv[1:] == ["serve"]:
    from sagedock_toolkit.serving import main
else:
    sys.exit(f"usage: python -m sagedock_toolkit train | serve (given: {sys.argv[1:]})")

if __name__ == "__main__":
    main()
