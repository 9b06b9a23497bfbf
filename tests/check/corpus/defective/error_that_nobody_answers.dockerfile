# finds: SD516
# reported: aws/amazon-sagemaker-examples#2815
# asks: {"instances": [[1, 2]]}
FROM python:3.11-slim-bookworm
RUN printf '%s\n' \
 '#!/usr/bin/env python3' \
 'import json, signal, sys' \
 'from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer' \
 'class Handler(BaseHTTPRequestHandler):' \
 '    def do_GET(self):' \
 '        self.send_response(200)' \
 '        self.end_headers()' \
 '    def do_POST(self):' \
 '        body = self.rfile.read(int(self.headers["Content-Length"]))' \
 '        rows = json.loads(body)["rows"]' \
 '        self.send_response(200)' \
 '        self.send_header("Content-Type", "application/json")' \
 '        self.end_headers()' \
 '        self.wfile.write(json.dumps(len(rows)).encode())' \
 'signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))' \
 'ThreadingHTTPServer(("", 8080), Handler).serve_forever()' \
 > /usr/local/bin/serve && chmod +x /usr/local/bin/serve
