# finds: SD711
# reported: aws/sagemaker-training-toolkit#65
FROM python:3.11-slim-bookworm
RUN mkdir /opt/program && echo 'print("ready")' > /opt/program/main.py
WORKDIR /opt/program
ENTRYPOINT ["python3", "-u"]
CMD ["main.py"]
