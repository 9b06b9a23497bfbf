FILE = "weights.nd"
