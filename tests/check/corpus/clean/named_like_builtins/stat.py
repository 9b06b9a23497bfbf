"""Statistics of the data: python has loaded its own stat before it looks here."""


def mean(values):
    return sum(values) / len(values)
