# finds: SD704
# reported: execve(2), ENOEXEC
FROM python:3.11-slim-bookworm
RUN printf 'import os\nprint("trained")\n' > /usr/local/bin/train \
 && chmod +x /usr/local/bin/train
