# finds: SD710
# reported: aws/sagemaker-inference-toolkit#72
FROM python:3.11-slim-bookworm
RUN printf '#!/usr/bin/env python3\nprint("ready")\n' > /usr/local/bin/serve \
 && chmod +x /usr/local/bin/serve
RUN useradd --uid 1000 somebody
USER somebody:somebody
