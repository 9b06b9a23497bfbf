"""The schema of sagedock.db (resources, runs, logs, metrics), one script per version."""

from __future__ import annotations

from typing import Final

MIGRATIONS: Final = (
    """
    CREATE TABLE resources (
        kind TEXT NOT NULL, name TEXT NOT NULL, arn TEXT NOT NULL UNIQUE,
        created REAL NOT NULL, modified REAL NOT NULL, status TEXT NOT NULL,
        version INTEGER NOT NULL, request TEXT NOT NULL, state TEXT NOT NULL,
        PRIMARY KEY (kind, name)
    ) WITHOUT ROWID;
    CREATE INDEX resources_by_creation ON resources (kind, created, name);
    CREATE TABLE tags (
        arn TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, position INTEGER NOT NULL,
        PRIMARY KEY (arn, key)
    ) WITHOUT ROWID;
    CREATE TABLE runs (
        id TEXT NOT NULL PRIMARY KEY, arn TEXT NOT NULL, host TEXT NOT NULL,
        details TEXT NOT NULL
    );
    CREATE INDEX runs_by_arn ON runs (arn);
    CREATE TABLE log_groups (
        name TEXT NOT NULL PRIMARY KEY, created_ms INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE log_streams (
        id INTEGER PRIMARY KEY,
        log_group TEXT NOT NULL REFERENCES log_groups (name) ON DELETE CASCADE,
        name TEXT NOT NULL,
        created_ms INTEGER NOT NULL, first_ms INTEGER, last_ms INTEGER, ingested_ms INTEGER,
        position TEXT,
        UNIQUE (log_group, name)
    );
    CREATE TABLE log_events (
        id INTEGER PRIMARY KEY, stream INTEGER NOT NULL REFERENCES log_streams (id)
            ON DELETE CASCADE,
        timestamp_ms INTEGER NOT NULL, ingested_ms INTEGER NOT NULL, message TEXT NOT NULL
    );
    CREATE INDEX log_events_in_order ON log_events (stream, timestamp_ms, id);
    CREATE TABLE metrics (
        id INTEGER PRIMARY KEY, namespace TEXT NOT NULL, name TEXT NOT NULL,
        dimensions TEXT NOT NULL, timestamp REAL NOT NULL, count REAL NOT NULL,
        total REAL NOT NULL, minimum REAL NOT NULL, maximum REAL NOT NULL, unit TEXT
    );
    CREATE INDEX metrics_by_name ON metrics (namespace, name, dimensions, timestamp);
    """,
)
