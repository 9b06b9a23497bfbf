# options: --grace 4 --instance-type ml.c5.large
# asks: [[1, 2], [3, 4]]
FROM python:3.11-slim-bookworm
RUN printf '%s\n' \
 'import json, signal, sys, time' \
 'from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer' \
 'class Handler(BaseHTTPRequestHandler):' \
 '    def do_GET(self):' \
 '        self.send_response(200)' \
 '        self.end_headers()' \
 '    def do_POST(self):' \
 '        body = self.rfile.read(int(self.headers["Content-Length"]))' \
 '        time.sleep(0.4)' \
 '        try:' \
 '            status, answer = 200, len(json.loads(body))' \
 '        except ValueError:' \
 '            status, answer = 400, "no JSON"' \
 '        self.send_response(status)' \
 '        self.send_header("Content-Type", "application/json")' \
 '        self.end_headers()' \
 '        self.wfile.write(json.dumps(answer).encode())' \
 'signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))' \
 'ThreadingHTTPServer(("", 8080), Handler).serve_forever()' \
 > /opt/server.py \
 && printf '%s\n' '#!/bin/sh' 'exec python3 -u /opt/server.py' \
 > /usr/local/bin/serve && chmod +x /usr/local/bin/serve
