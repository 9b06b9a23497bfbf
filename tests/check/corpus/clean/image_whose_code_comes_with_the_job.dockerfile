FROM python:3.11-slim-bookworm
ENTRYPOINT ["python3", "/opt/ml/code/train.py"]
