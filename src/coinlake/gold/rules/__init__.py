"""Trading rules, found by folder: a new rule is one new file with a docstring that tells its idea and a `RULE`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from coinlake.gold.rules.rule import Rule


@cache
def rules() -> Mapping[str, Rule]:
    """Every rule by its name, which is that of its file; in the order of the names."""
    modules = [import_module(f"{__name__}.{each.name}") for each in iter_modules(__path__)]
    found = [module.RULE for module in modules if hasattr(module, "RULE")]
    return {rule.name: rule for rule in sorted(found, key=lambda rule: rule.name)}


def idea(rule: Rule) -> str:
    """What the rule is about, in the words of its file."""
    return inspect.cleandoc(import_module(f"{__name__}.{rule.name}").__doc__ or "")
