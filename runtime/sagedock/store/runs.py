"""Which runs belong to which resource, so that a restarted emulator finds them again."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sagedock.store.database import Database


@dataclass(frozen=True, slots=True)
class RunRecord:
    """`id` is the backend's own address of the run; `host` the SageMaker host ("algo-1") or
    variant and instance; `details` are what its lifecycle needs to go on (log stream, port …)."""

    id: str
    arn: str
    host: str
    details: Mapping[str, Any]


class Runs:
    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, record: RunRecord) -> None:
        with self._database.write() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?)",
                (record.id, record.arn, record.host, json.dumps(record.details)),
            )

    def of(self, arn: str) -> list[RunRecord]:
        rows = self._database.read().execute(
            "SELECT * FROM runs WHERE arn = ? ORDER BY host, rowid", (arn,)
        )
        return [RunRecord(r["id"], r["arn"], r["host"], json.loads(r["details"])) for r in rows]

    def keep(self, arns: Collection[str]) -> frozenset[str]:
        """Forget all runs but those of these resources; the ids of what is left."""
        with self._database.write() as connection:
            rows = connection.execute("SELECT id, arn FROM runs").fetchall()
            lost = [(row["id"],) for row in rows if row["arn"] not in arns]
            connection.executemany("DELETE FROM runs WHERE id = ?", lost)
        return frozenset(row["id"] for row in rows if row["arn"] in arns)

    def remove(self, run_id: str) -> None:
        with self._database.write() as connection:
            connection.execute("DELETE FROM runs WHERE id = ?", (run_id,))
