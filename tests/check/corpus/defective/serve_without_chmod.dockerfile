# finds: SD703
# reported: aws/amazon-sagemaker-examples#628
FROM python:3.11-slim-bookworm
RUN printf '#!/usr/bin/env python3\nprint("trained")\n' > /usr/local/bin/train \
 && chmod +x /usr/local/bin/train
RUN printf '#!/usr/bin/env python3\nprint("ready")\n' > /usr/local/bin/serve \
 && chmod -x /usr/local/bin/serve
