"""What derives from a layer contract: table, checks, view, collection, schema, dictionary."""
