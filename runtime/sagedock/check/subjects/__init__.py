"""What is looked at: scripts, archives and requests, read and never run."""
