"""python -m sagedock"""

from sagedock.cli import main

if __name__ == "__main__":
    main(prog_name="sagedock")
