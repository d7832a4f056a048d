"""The command ``makan``: one file a command."""
