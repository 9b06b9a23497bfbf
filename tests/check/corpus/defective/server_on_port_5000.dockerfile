# finds: SD712
# reported: your-algorithms-inference-code: a web server on port 8080
FROM python:3.11-slim-bookworm
RUN printf '#!/usr/bin/env python3\nprint("ready")\n' > /usr/local/bin/serve \
 && chmod +x /usr/local/bin/serve
EXPOSE 5000
