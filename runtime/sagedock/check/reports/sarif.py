"""A report as SARIF 2.1.0, which code scanning reads."""

from __future__ import annotations

import json
from typing import Any

from sagedock.check.findings import Finding, Level, Report
from sagedock.check.rules.catalogue import RULES

_LEVELS: dict[Level, str] = {"error": "error", "warning": "warning", "advice": "note"}
_INDEX = {rule.id: number for number, rule in enumerate(RULES)}


def sarif(report: Report) -> str:
    """One run: its results, and as notifications of its invocation which rules did not look and
    why, so that no results are not taken for a check of everything."""
    rules = [
        {
            "id": rule.id,
            "name": rule.name,
            "shortDescription": {"text": rule.sentence},
            "help": {"text": rule.fix},
            "defaultConfiguration": {"level": _LEVELS[rule.level]},
        }
        for rule in RULES
    ]
    run = {
        "tool": {"driver": {"name": "sagedock check", "rules": rules}},
        "invocations": [
            {
                "executionSuccessful": not report.not_run,
                "exitCode": report.exit_code,
                "toolExecutionNotifications": _notifications(report),
            }
        ],
        "results": [_result(finding) for finding in report.findings],
    }
    document = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _result(finding: Finding) -> dict[str, Any]:
    return {
        "ruleId": finding.rule,
        "ruleIndex": _INDEX[finding.rule],
        "level": _LEVELS[finding.level],
        "message": {"text": f"{finding.message}. {finding.cloud} {finding.fix}"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": finding.file},
                    "region": {"startLine": finding.line, "startColumn": finding.column},
                }
            }
        ],
    }


def _notifications(report: Report) -> list[dict[str, Any]]:
    """Errors for what was wanted and could not be run, notes for rules that did not look."""
    wanted: list[dict[str, Any]] = [
        {"level": "error", "message": {"text": f"Not run: {sentence}."}}
        for sentence in report.not_run
    ]
    skipped = [
        {
            "level": "note",
            "message": {"text": f"{looked.subject}: {looked.skipped}"},
            "associatedRule": {"id": looked.rule, "index": _INDEX[looked.rule]},
        }
        for looked in report.checked
        if looked.skipped
    ]
    return wanted + skipped
