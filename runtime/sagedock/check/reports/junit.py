"""A report as JUnit's XML: one test case a rule and subject, as CI servers read it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.etree import ElementTree

from sagedock.check.findings import Finding, Looked, Report
from sagedock.check.rules.catalogue import rule

_NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: Report) -> str:
    """Failures are errors and warnings; advice is the case's system-out."""
    found: dict[str, list[Finding]] = {}
    for finding in report.findings:
        found.setdefault(finding.rule, []).append(finding)
    suite = ElementTree.Element("testsuite", name="sagedock check")
    told: set[str] = set()
    for looked in report.checked:
        # A finding's file may be another than the subject's: each is told once, by its rule.
        here = [] if looked.rule in told or looked.skipped else found.get(looked.rule, [])
        told |= {looked.rule} if here else set()
        suite.append(_case(looked, here))
    for sentence in report.not_run:
        case = ElementTree.SubElement(suite, "testcase", classname="sagedock check", name="run")
        ElementTree.SubElement(case, "error", message=_clean(sentence))
    failed = sum(1 for case in suite if case.find("failure") is not None)
    skipped = sum(1 for case in suite if case.find("skipped") is not None)
    for name, count in (("tests", len(suite)), ("failures", failed), ("skipped", skipped)):
        suite.set(name, str(count))
    suite.set("errors", str(len(report.not_run)))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True)


def _case(looked: Looked, findings: Iterable[Finding]) -> ElementTree.Element:
    name = f"{looked.rule} {rule(looked.rule).name}"
    case = ElementTree.Element("testcase", classname=_clean(looked.subject), name=name)
    if looked.skipped:
        ElementTree.SubElement(case, "skipped", message=_clean(looked.skipped))
    for finding in findings:
        place = f"{finding.file}:{finding.line}:{finding.column}"
        text = f"{place}: {finding.message}\ncloud: {finding.cloud}\nfix: {finding.fix}"
        if finding.level == "advice":
            out = case.find("system-out")
            out = ElementTree.SubElement(case, "system-out") if out is None else out
            out.text = f"{out.text or ''}{_clean(text)}\n"
        else:
            failure = ElementTree.SubElement(
                case, "failure", type=finding.level, message=_clean(finding.message)
            )
            failure.text = _clean(text)
    return case


def _clean(text: str) -> str:
    """Without characters that XML cannot hold."""
    return _NO_XML.sub("?", text)
