"""What all parts of an agent share: the connection, the journal, the reports that must arrive."""
