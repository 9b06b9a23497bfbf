"""Trains and hosts the image byo-sklearn with boto3 alone.

    docker build -t byo-sklearn examples/byo-sklearn
    sagedock serve --backend docker
    sagedock run -- python examples/byo-sklearn/client.py

Nothing in it knows sagedock; in the cloud IMAGE and ROLE would be those of your account.
"""

import sys
import time

import boto3

IMAGE = sys.argv[1] if len(sys.argv) > 1 else "byo-sklearn:latest"
ROLE = "arn:aws:iam::000000000000:role/sagemaker"
BUCKET = "byo-sklearn"
NAME = f"tree-{int(time.time())}"

# Two clouds of points: the label first, then two features.
ROWS = [f"{side},{side * 2 + x / 10},{side * 2 - x / 10}" for side in (0, 1) for x in range(50)]


def main() -> None:
    s3, sagemaker = boto3.client("s3"), boto3.client("sagemaker")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="train/rows.csv", Body="\n".join(ROWS).encode())
    sagemaker.create_training_job(
        TrainingJobName=NAME,
        RoleArn=ROLE,
        AlgorithmSpecification={
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "accuracy", "Regex": "accuracy=([0-9.]+)"}],
        },
        HyperParameters={"max_depth": "3"},
        InputDataConfig=[
            {
                "ChannelName": "train",
                "DataSource": {
                    "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/train"}
                },
            }
        ],
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/output"},
        ResourceConfig={
            "InstanceType": "ml.m5.large",
            "InstanceCount": 1,
            "VolumeSizeInGB": 1,
        },
        StoppingCondition={"MaxRuntimeInSeconds": 300},
    )
    sagemaker.get_waiter("training_job_completed_or_stopped").wait(
        TrainingJobName=NAME, WaiterConfig={"Delay": 1}
    )
    job = sagemaker.describe_training_job(TrainingJobName=NAME)
    print(NAME, job["TrainingJobStatus"], job.get("FailureReason", ""))

    model = job["ModelArtifacts"]["S3ModelArtifacts"]
    sagemaker.create_model(
        ModelName=NAME,
        ExecutionRoleArn=ROLE,
        PrimaryContainer={"Image": IMAGE, "ModelDataUrl": model},
    )
    variant = {"VariantName": "all", "ModelName": NAME, "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(
        EndpointConfigName=NAME, ProductionVariants=[{**variant, "InstanceType": "ml.m5.large"}]
    )
    sagemaker.create_endpoint(EndpointName=NAME, EndpointConfigName=NAME)
    try:
        sagemaker.get_waiter("endpoint_in_service").wait(
            EndpointName=NAME, WaiterConfig={"Delay": 1}
        )
        answer = boto3.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=NAME, ContentType="text/csv", Body=b"0.1,0.2\n2.1,2.2\n"
        )
        print("labels:", answer["Body"].read().decode().split())
    finally:
        sagemaker.delete_endpoint(EndpointName=NAME)


if __name__ == "__main__":
    main()
