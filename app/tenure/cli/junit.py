"""The result of `tenure policy test` as JUnit XML, which CI systems show."""

import re
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from tenure.cli.trying import Trial

_NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(trial: Trial) -> bytes:
    """The result as JUnit XML: a suite for each file, an `error` for what could not be tried."""
    root = ET.Element("testsuites", name="tenure policy test")
    suites: dict[str, ET.Element] = {}

    def case_of(file: str, line: int, name: str) -> ET.Element:
        suite = suites.setdefault(file, ET.Element("testsuite", name=_text(file)))
        return ET.SubElement(
            suite, "testcase", classname=_text(file), name=_text(name), file=_text(file), line=str(line)
        )

    for file, case, outcome in trial.cases:
        element = case_of(file, case.line, case.name)
        if not outcome.passed:
            failure = ET.SubElement(element, "failure", message=_text(outcome.wrong), type="policy")
            failure.text = _text("\n".join(outcome.why))
    for one in trial.problems:
        error = ET.SubElement(case_of(one.file, one.line, "cannot be tried"), "error", type="file")
        error.set("message", _text(one.detail))
    for element in (*suites.values(), root):
        found = element.iter("testcase") if element is not root else _every(suites)
        counted = list(found)
        element.set("tests", str(len(counted)))
        element.set("failures", str(sum(one.find("failure") is not None for one in counted)))
        element.set("errors", str(sum(one.find("error") is not None for one in counted)))
    root.extend(suites.values())
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def _every(suites: dict[str, ET.Element]) -> Iterator[ET.Element]:
    for suite in suites.values():
        yield from suite.iter("testcase")


def _text(value: str) -> str:
    """What XML 1.0 §2.2 can hold."""
    return _NO_XML.sub("\ufffd", value)
