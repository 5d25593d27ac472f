"""Storage: the embedded store over SQLite, its history, backups. The only room that speaks SQL."""
