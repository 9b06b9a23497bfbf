# finds: SD708
# reported: aws/sagemaker-python-sdk#4113
FROM python:3.11-slim-bookworm
RUN cp /bin/true /usr/bin/tini
RUN printf '#!/usr/bin/env python3\nprint("trained")\n' > /usr/local/bin/train \
 && chmod +x /usr/local/bin/train
ENTRYPOINT ["/usr/bin/tini", "--"]
