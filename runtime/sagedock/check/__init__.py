"""The contract checker: will this script survive in the cloud? It reads, and runs nothing."""
