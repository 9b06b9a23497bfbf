FROM python:3.11-slim-bookworm
RUN mkdir /opt/program && echo 'print("ready")' > /opt/program/main.py
WORKDIR /opt/program
ENTRYPOINT ["python3", "-u", "main.py"]
CMD ["--help"]
