# finds: SD706
# reported: execve(2), ENOENT: the interpreter does not exist
FROM python:3.11-slim-bookworm
RUN printf '#!/opt/conda/bin/python\nprint("trained")\n' > /usr/local/bin/train \
 && chmod +x /usr/local/bin/train
