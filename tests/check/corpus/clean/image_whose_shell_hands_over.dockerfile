FROM python:3.11-slim-bookworm
RUN mkdir /opt/program && echo 'print("ready")' > /opt/program/main.py
ENTRYPOINT exec python3 /opt/program/main.py "$0"
