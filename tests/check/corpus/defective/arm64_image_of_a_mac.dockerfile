# finds: SD701
# reported: aws-samples/sagemaker-studio-custom-image-samples#25
# docker build --platform linux/arm64 -t my-algo .
FROM scratch
ENTRYPOINT ["/train"]
