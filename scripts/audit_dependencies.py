"""Known vulnerabilities of the pinned dependencies, by pip-audit: `make check` runs it.

Exit code 1: a pinned version is known to be vulnerable, some could be looked up and others could not, or
pip-audit itself failed. Without a source of advisories (no network, or a package index that does not
pass them on) it prints `not audited` and exits 0, since no state of the repository could change that.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

_CONSTRAINTS = Path(__file__).resolve().parents[1] / "constraints.txt"
_LONGEST_SEC = 180
_UNREACHABLE = re.compile(r"\b(ConnectionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError)\b")


class Verdict(NamedTuple):
    """The printed lines and the exit code."""

    lines: tuple[str, ...]
    code: int


def judge_failure(error: str) -> Verdict:
    """Return the verdict on a pip-audit without a report, from its last error output."""
    if _UNREACHABLE.search(error):
        return Verdict(
            (f"not audited: the dependencies, because no advisory source is reachable ({error[:200]})",), 0
        )
    return Verdict((f"pip-audit failed: {error[:300] or 'it printed nothing'}",), 1)


def judge(report: Mapping[str, Any]) -> Verdict:
    """Return the verdict on pip-audit's JSON report."""
    packages: Sequence[Mapping[str, Any]] = report["dependencies"]
    skipped = [package for package in packages if "skip_reason" in package]
    if len(skipped) == len(packages):
        return Verdict(
            (f"not audited: none of {len(packages)} dependencies has reachable advisories",),
            0,
        )
    lines = [
        f"{package['name']} {package['version']}: {found['id']}, fixed in {_versions(found)}"
        for package in packages
        for found in package.get("vulns", ())
    ]
    lines += [f"not audited: {package['skip_reason']}" for package in skipped]
    if lines:
        return Verdict(tuple(lines), 1)
    return Verdict((f"audited: {len(packages)} dependencies, no known vulnerability",), 0)


def _versions(found: Mapping[str, Any]) -> str:
    return ", ".join(found.get("fix_versions", ())) or "no version yet"


def audit(constraints: Path) -> Verdict:
    """Ask about every pinned version."""
    try:
        done = subprocess.run(  # noqa: S603 - the tool beside this interpreter
            [
                Path(sys.executable).with_name("pip-audit"),
                *("--requirement", constraints, "--no-deps", "--disable-pip"),
                *("--format", "json", "--progress-spinner", "off", "--timeout", "15"),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=_LONGEST_SEC,
        )
    except subprocess.TimeoutExpired:
        return judge_failure(f"ReadTimeout: no answer within {_LONGEST_SEC} s")
    try:
        report = json.loads(done.stdout)
    except ValueError:
        return judge_failure((done.stderr.splitlines() or [""])[-1])
    return judge(report)


def main() -> int:
    verdict = audit(_CONSTRAINTS)
    print("\n".join(verdict.lines))
    return verdict.code


if __name__ == "__main__":
    sys.exit(main())
