FROM python:3.11-slim-bookworm
RUN echo 'exec "$@"' > /usr/local/bin/start.sh
ENTRYPOINT ["bash", "-m", "start.sh"]
