# finds: SD702
# reported: python3: can't open file, exit code 2
FROM python:3.11-slim-bookworm
ENTRYPOINT ["python3", "/opt/program/main.py"]
