# finds: SD514
# reported: your-algorithms-inference-code: SIGTERM, and SIGKILL 30 seconds later
# options: --grace 4
# asks: [[1, 2], [3, 4]]
FROM python:3.11-slim-bookworm
RUN printf '%s\n' \
 '#!/usr/bin/env python3' \
 'import signal' \
 'from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer' \
 'class Handler(BaseHTTPRequestHandler):' \
 '    def do_GET(self):' \
 '        self.send_response(200)' \
 '        self.end_headers()' \
 '    def do_POST(self):' \
 '        self.rfile.read(int(self.headers["Content-Length"]))' \
 '        self.send_response(200)' \
 '        self.end_headers()' \
 '        self.wfile.write(b"[0.5]")' \
 'signal.signal(signal.SIGTERM, lambda *_: print("asked to stop", flush=True))' \
 'ThreadingHTTPServer(("", 8080), Handler).serve_forever()' \
 > /usr/local/bin/serve && chmod +x /usr/local/bin/serve
