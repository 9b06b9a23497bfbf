# finds: SD701
# reported: aws/sagemaker-python-sdk#3679
# options: --instance-type ml.c7g.xlarge
FROM python:3.11-slim-bookworm
RUN printf '#!/usr/bin/env python3\nprint("ready")\n' > /usr/local/bin/serve \
 && chmod +x /usr/local/bin/serve
