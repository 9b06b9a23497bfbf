FROM python:3.11-slim-bookworm
ENTRYPOINT ["python3", "-m", "http.server", "8080"]
