"""The database engine: transactions, records, lists, change feed. SQLite and MariaDB."""
