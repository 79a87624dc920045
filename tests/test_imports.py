"""Who may import whom (DESIGN §3), and what the command line must not wait for."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("common", "client", "server", "simulations")
FORBIDDEN = {
    "common": {"client", "server", "simulations"},
    "client": {"server", "simulations"},
    "server": {"client", "simulations"},
    "simulations": set(),
}
HEAVY = ("torch", "flwr", "opacus", "pandas", "pydicom", "matplotlib", "scipy", "dp_accounting")


@cache
def modules() -> dict[str, Path]:
    """All modules of the packages by dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(tree: ast.AST) -> set[str]:
    """Modules named in the import statements below a node; `from a import b` is a.b where that is one."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name in modules() else str(node.module) for name in inner}
    return names


def at_import_time(tree: ast.Module) -> set[str]:
    """What is imported when the module is: neither inside functions nor under TYPE_CHECKING."""
    names: set[str] = set()
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= imported(node)
        else:
            waiting += ast.iter_child_nodes(node)
    return names


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_what_they_may(package: str) -> None:
    for name, path in modules().items():
        if name.split(".")[0] != package:
            continue
        used = {other.split(".")[0] for other in imported(ast.parse(path.read_text()))}
        assert not used & (FORBIDDEN[package] | {"tests", "benchmarks"}), name


def test_every_package_is_looked_at() -> None:
    assert all(sum(m.startswith(f"{p}.") for m in modules()) > 10 for p in PACKAGES)


def test_no_module_imports_itself_through_others() -> None:
    graph = {
        name: {other for other in at_import_time(ast.parse(path.read_text())) if other in modules()}
        for name, path in modules().items()
    }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail[trail.index(name) :], name))
        if name not in done:
            for other in sorted(graph[name]):
                visit(other, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("arguments", [["--help"], ["simulate", "--help"], ["study", "--help"]])
def test_help_waits_for_no_heavy_package(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from common.cli import main\n"
        f"sys.argv = ['consilium', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"print('LOADED', *[name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1].split() == ["LOADED"]
    assert "cannot be loaded" not in ran.stdout
