FROM python:3.11-slim-bookworm
WORKDIR /opt/program
RUN touch train serve
ENTRYPOINT ["python3"]
