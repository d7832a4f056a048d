"""``python -m pipeline`` is the same as the command ``makan``."""

from pipeline.cli.main import main

if __name__ == "__main__":
    main()
