"""The core imports no I/O, also not through other modules, and no layer imports one above it."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

IO_MODULES = frozenset({
    "asyncio",
    "concurrent.futures",
    "http",
    "http.client",
    "http.cookiejar",
    "logging",
    "multiprocessing",
    "select",
    "selectors",
    "socket",
    "ssl",
    "subprocess",
    "threading",
    "urllib.request",
})  # fmt: skip


def modules_after(statement: str) -> frozenset[str]:
    """Return the names in sys.modules of a new interpreter after one statement.

    Without `site`: whatever .pth files a machine has would import modules of their own and hide
    what we do."""
    program = (
        f"import sys; sys.path[:] = {sys.path!r}; {statement}; names = list(sys.modules); "
        "import json; print(json.dumps(names))"
    )
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return frozenset(json.loads(run.stdout))


def core_modules() -> list[str]:
    """Every module of the core, but for the Hypothesis strategies:

    Hypothesis itself needs threads.
    """
    spec = importlib.util.find_spec("sansio_moondream")
    assert spec is not None and spec.origin is not None
    package = Path(spec.origin).parent
    names = [
        ".".join(path.relative_to(package.parent).with_suffix("").parts)
        for path in sorted(package.rglob("*.py"))
    ]
    return [name.removesuffix(".__init__") for name in names if "strategies" not in name]


def test_importing_the_core_imports_no_io() -> None:
    modules = core_modules()
    after = modules_after(f"import {', '.join(modules)}")
    assert after >= set(modules)
    if after & IO_MODULES:  # say which module it is
        pytest.fail(
            "\n".join(
                f"{module}: {sorted(IO_MODULES & modules_after(f'import {module}'))}"
                for module in ["msgspec", *modules]
            )
        )


@pytest.mark.parametrize(
    "module", ["sansio_moondream", "moondream_transports", "moondream_transports.conformance"]
)
def test_importing_needs_only_msgspec(module: str) -> None:
    """h11, Pillow and Hypothesis stay out until they are used; no HTTP library is needed."""
    ours = {"sansio_moondream", "moondream_transports"}
    # msgspec takes typing_extensions where it finds it; sysconfig's data module is named after the
    # platform.
    known = {"__main__", "msgspec", "typing_extensions"} | sys.stdlib_module_names
    loaded = {name.partition(".")[0] for name in modules_after(f"import {module}")}
    assert module.partition(".")[0] in loaded
    assert loaded - ours - known == set()


def test_the_fake_server_needs_only_msgspec_and_h11() -> None:
    ours = {"sansio_moondream", "moondream_transports", "moondream_tools"}
    known = {"__main__", "msgspec", "h11", "typing_extensions"} | sys.stdlib_module_names
    run = "from moondream_tools import FakeServer as F; s = F().start(); s.answer(text='a')"
    loaded = {name.partition(".")[0] for name in modules_after(f"{run}; s.close()")}
    assert {"h11", "moondream_tools"} <= loaded
    assert loaded - ours - known == set()


@pytest.mark.parametrize("module", ["moondream_tools", "moondream_tools.pytest_plugin"])
def test_what_pytest_imports_of_the_tools_imports_nothing_else(module: str) -> None:
    """It does so in each run, where this is installed."""
    loaded = modules_after(f"import {module}")
    assert module in loaded
    assert not {"sansio_moondream", "moondream_transports", "msgspec"} & loaded


@pytest.mark.parametrize("name", ["HTTP11Exchange", "ResponseHead", "SocketStream"])
def test_h11_comes_with_what_needs_it(name: str) -> None:
    assert "h11" not in modules_after(
        "import sansio_moondream, sansio_moondream.testing; dir(sansio_moondream)"
    )
    loaded = modules_after(f"from sansio_moondream import {name}")
    assert "h11" in loaded
    assert not IO_MODULES & loaded


def test_pillow_is_imported_when_pixels_are_drawn() -> None:
    result = "import sansio_moondream as s; r = s.SegmentResult('M0 0H1V1z', s.BBox(0, 0, 1, 1))"
    loaded = modules_after(f"{result}; r.svg((1, 1))")
    assert "PIL" not in loaded
    assert not IO_MODULES & loaded
    assert "PIL" in modules_after(f"{result}; r.mask((1, 1))")


def test_labels_need_no_library() -> None:
    loaded = modules_after(
        "import sansio_moondream as s, sansio_moondream.exports as e; "
        "r = s.SegmentResult('M0 0H1V1z', s.BBox(0, 0, 1, 1)); "
        "assert e.coco_annotations(r, (8, 4), image_id=1, category_id=1); "
        "assert e.yolo_labels(r, (8, 4), class_id=0)"
    )
    assert not {"PIL", "numpy", "supervision"} & loaded
    assert not IO_MODULES & loaded


def test_imports_go_only_downward() -> None:
    lint_imports = Path(sysconfig.get_path("scripts"), "lint-imports")
    run = subprocess.run(
        [lint_imports, "--no-cache", "--no-logo"], capture_output=True, text=True, cwd=ROOT
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize(
    ("transport", "library"), [("AiohttpTransport", "aiohttp"), ("AnyioTransport", "anyio")]
)
def test_a_transport_whose_library_is_missing_says_what_to_install(transport: str, library: str):
    program = (
        f"import sys; sys.modules[{library!r}] = None; from moondream_transports import {transport}"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(
        f"{transport} needs {library}, which is not installed: pip install "
        f"'sansio-moondream[{library}]'"
    )


def test_no_test_module_needs_more_than_make_test_installs(collected_modules: set[str]):
    """A clean checkout has the group `dev` and the extra `all`. A module that needs more is
    imported in a test, or in a function. Each worker of pytest has imported every test module.
    """

    def modules(requirements: list[str]) -> set[str]:
        return {re.split(r"[^\w-]", one)[0].lower().replace("-", "_") for one in requirements}

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    extras, groups = project["project"]["optional-dependencies"], project["dependency-groups"]
    (all_of,) = extras["all"]
    installed = modules(groups["dev"])
    others: set[str] = set()
    for name, requirements in {**extras, **groups}.items():
        is_installed = name in ("all", "dev") or name in re.findall(r"\w+", all_of)
        (installed if is_installed else others).update(modules(requirements))
    assert {"sphinx", "nox", "supervision"} <= others - installed
    loaded = {name.partition(".")[0] for name in collected_modules}
    assert "pytest" in loaded
    assert (others - installed) & loaded == set()
