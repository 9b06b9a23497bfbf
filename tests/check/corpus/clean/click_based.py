import os

import click


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--epochs", type=int, default=2)
@click.option("--augment", type=bool, default=False)
@click.option("--model-dir", envvar="SM_MODEL_DIR", required=True)
def main(epochs, augment, model_dir):
    with open(os.path.join(model_dir, "epochs"), "w") as file:
        file.write("%d %s" % (epochs * 2, augment))


if __name__ == "__main__":
    main()
