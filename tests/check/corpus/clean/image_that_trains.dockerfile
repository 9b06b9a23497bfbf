FROM python:3.11-slim-bookworm
RUN printf '#!/usr/bin/env python3\nprint("trained")\n' > /usr/local/bin/train \
 && chmod +x /usr/local/bin/train
