FROM python:3.11-slim-bookworm
RUN mkdir /opt/program && printf '#!/usr/bin/env python3\n' > /opt/program/run && chmod +x /opt/program/run \
 && ln -s ../../../opt/program/run /usr/local/bin/train && ln -s train /usr/local/bin/serve
USER root:root
