# finds: SD709
# reported: aws/deep-learning-containers#632
FROM python:3.11-slim-bookworm
RUN mkdir /opt/program && echo 'print("ready")' > /opt/program/main.py
ENTRYPOINT python3 /opt/program/main.py --port 8080
