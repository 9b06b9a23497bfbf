import json


def model_fn(model_dir):
    return {"scale": 2}


def input_fn(data, content_type):
    raise ValueError("this model is asked in batches only")


def predict_fn(rows, model):
    answers = []
    for row in rows:
        answers.append(row * model["scale"])
    return answers


def output_fn(answers, accept):
    try:
        return json.dumps(answers)
    except TypeError:
        return str(answers)
