# From data to an answer with the AWS CLI, as somebody would type it.
#
#     aws_cli.sh PATH-OF-AWS      in a folder with in/, code.tar.gz and the requests as JSON files

set -e
aws() { "$program" "$@"; }
program=$1
role=arn:aws:iam::000000000000:role/service-role/AmazonSageMaker-ExecutionRole-cli

aws s3 mb s3://cli
aws s3 sync in s3://cli/in --no-progress
aws s3 sync in s3://cli/in --no-progress
aws s3 cp code.tar.gz s3://cli/code.tar.gz --no-progress
aws s3 sync s3://cli/in back --no-progress
diff -r in back

aws sagemaker create-training-job --cli-input-json file://job.json
aws sagemaker wait training-job-completed-or-stopped --training-job-name typed
aws logs filter-log-events --log-group-name /aws/sagemaker/TrainingJobs \
    --log-stream-name-prefix typed/ --query 'events[].message' --output text

aws sagemaker create-model --model-name typed --execution-role-arn "$role" \
    --primary-container file://container.json
aws sagemaker create-endpoint-config --endpoint-config-name typed --production-variants \
    VariantName=v,ModelName=typed,InitialInstanceCount=1,InstanceType=ml.m5.large
aws sagemaker create-endpoint --endpoint-name typed --endpoint-config-name typed
aws sagemaker wait endpoint-in-service --endpoint-name typed
aws sagemaker-runtime invoke-endpoint --endpoint-name typed --content-type application/json \
    --body fileb://body.json answer.json --query InvokedProductionVariant

aws sagemaker delete-endpoint --endpoint-name typed
aws sagemaker wait endpoint-deleted --endpoint-name typed
aws s3 rb s3://cli --force
