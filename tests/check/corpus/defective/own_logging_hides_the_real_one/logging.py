"""Prints with the time."""


def log(text):
    print(text)
