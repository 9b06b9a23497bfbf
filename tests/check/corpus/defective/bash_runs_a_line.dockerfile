# finds: SD709
# reported: aws/deep-learning-containers#632
FROM python:3.11-slim-bookworm
ENTRYPOINT ["/bin/bash", "-c", "python3 -m http.server 8080; echo ended"]
