# finds: SD702
# reported: aws/sagemaker-python-sdk#222
FROM python:3.11-slim-bookworm
RUN printf '#!/bin/sh\n' > /opt/start && chmod +x /opt/start
ENTRYPOINT ["start"]
