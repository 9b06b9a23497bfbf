# finds: SD513
# reported: aws/sagemaker-python-sdk#4115
# asks: [[1, 2], [3, 4]]
FROM python:3.11-slim-bookworm
RUN printf '%s\n' \
 '#!/usr/bin/env python3' \
 'import signal, sys, time' \
 'from wsgiref.simple_server import make_server' \
 'def app(environ, start_response):' \
 '    start_response("200 OK", [("Content-Type", "application/json")])' \
 '    if environ["PATH_INFO"] == "/ping":' \
 '        return [b""]' \
 '    time.sleep(0.8)' \
 '    return [b"[0.5]"]' \
 'signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))' \
 'make_server("", 8080, app).serve_forever()' \
 > /usr/local/bin/serve && chmod +x /usr/local/bin/serve
