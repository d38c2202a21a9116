"""axe-core on the page in the browser: what keeps people out who see, point or hear otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

from tests.page.browser import Browser

_Options = Mapping[str, object]

#: All rules; those that another colour scheme can break; those that another width can.
ALL: Final[_Options] = {}
COLOURS: Final[_Options] = {"runOnly": ["color-contrast", "link-in-text-block"]}
LAYOUT: Final[_Options] = {"rules": {"color-contrast": {"enabled": False}}}
_RUN = """
return axe.run(document, { resultTypes: ["violations"], ...arguments[0] }).then(({ violations }) => violations
  .filter(({ impact }) => ["serious", "critical"].includes(impact))
  .flatMap(({ impact, id, help, nodes }) =>
    nodes.map(({ html }) => `${impact} ${id} (${help}): ${html.slice(0, 200)}`)));
"""


@cache
def _script() -> str:
    return (files("selenium_axe_python") / "axe-core" / "axe.min.js").read_text("utf-8")


def faults(browser: Browser, options: _Options) -> list[str]:
    """Return the serious and critical faults of the page: rule and element.

    A WebDriver's script runs beside the page's policy, which allows no such script.
    """
    if not browser.run("return 'axe' in window"):
        browser.run(_script())
    found: list[str] = browser.run(_RUN, options)
    return found
