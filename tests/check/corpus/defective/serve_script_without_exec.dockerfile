# finds: SD514
# reported: huggingface/huggingface-inference-toolkit#94
# options: --grace 4
# asks: [[1, 2], [3, 4]]
FROM python:3.11-slim-bookworm
RUN printf '%s\n' \
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
 'ThreadingHTTPServer(("", 8080), Handler).serve_forever()' \
 > /opt/server.py \
 && printf '%s\n' '#!/bin/sh' 'python3 -u /opt/server.py' 'echo "the server has ended"' \
 > /usr/local/bin/serve && chmod +x /usr/local/bin/serve
