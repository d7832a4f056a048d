"""``python -m pipeline`` is the same as the command ``makan``."""

from pipeline.cli.main import run

if __name__ == "__main__":
    run()
