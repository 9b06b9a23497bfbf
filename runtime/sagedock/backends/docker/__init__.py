"""User code in containers of the user's own Docker engine, through Docker's own client.

The only door to that client. `engine` is the engine itself and what it is; `translation` puts a
RunSpec into its words; `backend` and `runs` fulfil the seam of `backends/base.py`.
"""
