"""What layers look like from afar: shapes for tiles of small scale, kept fresh by loads."""
