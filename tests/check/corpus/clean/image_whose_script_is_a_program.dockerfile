FROM python:3.11-slim-bookworm
WORKDIR /opt/program
RUN printf '#!/bin/sh\nexec "$@"\n' > start.sh && chmod +x start.sh
ENTRYPOINT ["./start.sh"]
