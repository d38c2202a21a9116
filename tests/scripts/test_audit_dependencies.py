from __future__ import annotations

from typing import Any

from scripts.audit_dependencies import judge, judge_failure

SKIPPED = {
    "name": "trio",
    "skip_reason": "Dependency not found on PyPI and could not be audited: trio (0.35.0)",
}
CLEAN = {"name": "redis", "version": "8.1.0", "vulns": []}
VULNERABLE = {
    "name": "h11",
    "version": "0.15.0",
    "vulns": [{"id": "PYSEC-2025-1", "fix_versions": ["0.16.0"], "aliases": [], "description": "…"}],
}


def report(*packages: dict[str, Any]) -> dict[str, Any]:
    return {"dependencies": list(packages), "fixes": []}


def test_a_known_vulnerability_fails_and_is_named_with_its_cure() -> None:
    assert judge(report(CLEAN, VULNERABLE)) == (("h11 0.15.0: PYSEC-2025-1, fixed in 0.16.0",), 1)


def test_all_of_them_known_and_none_vulnerable_passes() -> None:
    assert judge(report(CLEAN, CLEAN)) == (("audited: 2 dependencies, no known vulnerability",), 0)


def test_without_any_advisories_nothing_is_claimed() -> None:
    verdict = judge(report(SKIPPED, SKIPPED))
    assert verdict.code == 0
    assert verdict.lines[0].startswith("not audited: none of 2 dependencies")


def test_one_that_could_not_be_looked_up_beside_others_that_could_fails() -> None:
    verdict = judge(report(CLEAN, SKIPPED))
    assert verdict.code == 1
    assert verdict.lines == (f"not audited: {SKIPPED['skip_reason']}",)


def test_nothing_is_claimed_while_nothing_is_in_reach() -> None:
    verdict = judge_failure("requests.exceptions.ConnectionError: HTTPSConnectionPool(host='pypi.org')")
    assert verdict.code == 0
    assert verdict.lines[0].startswith("not audited: ")


def test_a_pip_audit_that_fails_for_another_reason_fails() -> None:
    assert judge_failure("ERROR: cannot read constraints.txt") == (
        ("pip-audit failed: ERROR: cannot read constraints.txt",),
        1,
    )
