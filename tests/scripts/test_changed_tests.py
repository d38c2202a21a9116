from __future__ import annotations

from pathlib import Path

import pytest

from scripts.changed_tests import Imports, touched_tests

FILES = {
    "conftest_helper.py": "",
    "docs/guide.md": "",
    "page/__init__.py": "from page.view import shown\n",
    "page/view.py": "TEMPLATE = 'head.html'\n",
    "page/numbers.py": "",
    "page/templates/head.html": "",
    "tool/__init__.py": "",
    "tool/__main__.py": "import page.numbers\n",
    "permit-gate/src/gate/__init__.py": "",
    "permit-gate/tests/test_gate.py": "import gate\n",
    "tests/conftest.py": "import conftest_helper\n",
    "tests/docs/test_guide.py": "",
    "tests/integration/rig.py": "from page import shown\n",
    "tests/integration/test_whole.py": "from tests.integration import rig\n",
    "tests/page/test_numbers.py": "from page.numbers import add\n",
    "tests/page/test_view.py": "from page import view\n",
    "tests/test_mutations.py": "PATHS = ['page/numbers.py']\n",
    "tests/tool/test_tool.py": "COMMAND = ['python', '-m', 'tool']\n",
    "pyproject.toml": "",
}
TESTS = {path for path in FILES if "/test_" in path}
BELOW_TESTS = {path for path in TESTS if path.startswith("tests/")}
WHOLE, GATE = "tests/integration/test_whole.py", "permit-gate/tests/test_gate.py"
NUMBERS = {"tests/page/test_numbers.py", "tests/test_mutations.py", "tests/tool/test_tool.py"}
PAGE = NUMBERS | {"tests/page/test_view.py"}


@pytest.mark.parametrize(
    ("changed", "touched"),
    [
        ("page/numbers.py", NUMBERS),
        ("page/view.py", {"tests/page/test_view.py"}),
        ("page/__init__.py", PAGE - {"tests/test_mutations.py"}),
        ("page/templates/head.html", PAGE),
        ("docs/guide.md", {"tests/docs/test_guide.py"}),
        ("tool/__main__.py", {"tests/tool/test_tool.py"}),
        ("permit-gate/src/gate/__init__.py", {GATE}),
        ("tests/integration/rig.py", {WHOLE}),
        ("tests/conftest.py", BELOW_TESTS),
        ("conftest_helper.py", BELOW_TESTS - {WHOLE}),
        ("pyproject.toml", TESTS),
        ("README.md", set()),
        ("tests/page/test_deleted.py", set()),
    ],
)
def test_a_change_touches_the_tests_that_import_it(changed: str, touched: set[str], tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert touched_tests(Imports(tmp_path, FILES), FILES, {changed}) == sorted(touched)
