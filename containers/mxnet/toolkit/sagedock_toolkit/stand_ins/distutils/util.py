"""strtobool, which scripts give to argparse as a type."""


def strtobool(value: str) -> int:
    """1 for y, yes, t, true, on, 1; 0 for n, no, f, false, off, 0; ValueError for the rest."""
    value = value.lower()
    if value in ("y", "yes", "t", "true", "on", "1"):
        return 1
    if value in ("n", "no", "f", "false", "off", "0"):
        return 0
    raise ValueError(f"invalid truth value {value!r}")
