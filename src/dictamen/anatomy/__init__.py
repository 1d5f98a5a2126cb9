"""Names and places of the body: the vocabulary of structures, label names, and label maps turned into regions."""
