"""The database: the private cluster, connections by role, migrations, the ledger."""
