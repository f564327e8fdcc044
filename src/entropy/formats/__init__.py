"""Reading and writing documents: ``entropy/v1`` (YAML, JSON, gz) and other tools' formats."""
