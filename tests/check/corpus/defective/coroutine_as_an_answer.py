# finds: SD113
# reported: aws/amazon-sagemaker-examples#924
import asyncio
import json


def model_fn(model_dir):
    return {"bias": 1}


async def transform_fn(model, data, content_type, accept):
    await asyncio.sleep(0)
    return json.dumps(json.loads(data) + model["bias"]), accept
