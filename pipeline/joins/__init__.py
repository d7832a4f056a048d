"""What hangs on the parcel: facts that follow from the layers, kept in the database."""
