"""Training and serving for real, in a throw-away folder, and what was seen of it."""
