"""Check that the tree can be released, and leave the release in dist/.

    python -m release check [--only STEP] [--extra NAME] [--versions lowest] [--tag v1.2.3]
    python -m release lowest | pins

`check` builds the wheel and the sdist, and checks them: two builds are equal, the contents, the
metadata, each extra with the lowest and the newest versions. It writes the wheel, the sdist and the
bill of materials into dist/. `lowest` writes release/lowest.txt from pyproject.toml, and `pins`
release/publish.txt with the newest versions of what signs and uploads.

The lowest versions are checked with the interpreter that runs this: Python 3.11 is the one for
which all of them have wheels.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from release import bounds, builds, contents, extras, metadata, sbom
from release.commands import ROOT, CheckFailed, program, python_of, run
from release.pins import PUBLISH, write_pins

DIST = ROOT / "dist"
STEPS = ("builds", "contents", "metadata", "sbom", "extras")


class Check:
    """The steps of a check, in order. Each prints what it found.

    Args:
        folder: for everything that is made on the way.
        options: those of the command line.
    """

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self._folder = folder
        self._options = options
        self._wheel, self._sdist = Path(), Path()
        self._failed: list[str] = []

    def run(self) -> int:
        """Run the steps. Returns the exit status."""
        steps: dict[str, Callable[[], None]] = {
            "builds": self._builds,
            "contents": self._contents,
            "metadata": self._metadata,
            "sbom": self._sbom,
            "extras": self._extras,
        }
        for name in STEPS:
            if name == "builds" or self._options.only in (None, name):
                with self._step(name):
                    steps[name]()
            if name == "builds" and self._failed:
                break  # nothing was built
        if self._failed:
            say(f"not fit for a release: {', '.join(self._failed)}")
            return 1
        say(f"fit for a release, as far as checked: see {DIST.relative_to(ROOT)}/")
        return 0

    @contextmanager
    def _step(self, name: str) -> Generator[None]:
        started = time.monotonic()
        say(name)
        try:
            yield
        except CheckFailed as error:
            self._failed.append(name)
            say(f"  FAILED: {error}")
        else:
            say(f"  ok, {time.monotonic() - started:.0f} s")

    def _builds(self) -> None:
        first = builds.build(builds.FIRST, self._folder / "one")
        second = builds.build(builds.SECOND, self._folder / "other")
        from_tree = builds.build_from_tree(builds.FIRST, self._folder / "one")
        for one, other in (*zip(first, second, strict=True), (first[0], from_tree)):
            builds.require_equal(one, other)
        shutil.rmtree(DIST, ignore_errors=True)
        DIST.mkdir()
        self._wheel, self._sdist = (Path(shutil.copy(path, DIST)) for path in first)
        for path in (self._wheel, self._sdist):
            say(f"  {path.name}, {path.stat().st_size:,} bytes, built twice and equal")

    def _contents(self) -> None:
        sources, version = builds.sources(), metadata.version_of(self._wheel)
        for name, path, expected in (
            ("wheel", self._wheel, contents.wheel_members(sources, version)),
            ("sdist", self._sdist, contents.sdist_members(sources)),
        ):
            seen = builds.members(path)
            size = contents.require_size(name, seen)
            say(f"  {name}: {len(seen)} files, {size:,} bytes")
            for line in contents.by_folder(seen):
                say(f"  {line}")
            contents.require_members(name, seen, expected)
        contents.require_kinds(builds.members(self._wheel))

    def _metadata(self) -> None:
        metadata.require_valid(self._wheel, self._sdist)
        bounds.require_current()
        say(f"  version {metadata.require_version(self._wheel, self._options.tag)}")
        for name, (_, reason) in metadata.KNOWN_GAPS.items():
            say(f"  known gap, {name}: {reason}")

    def _sbom(self) -> None:
        environment = self._folder / "sbom"
        extras.install(self._wheel, extras.PLAIN, extras.Versions.NEWEST, environment)
        version = metadata.version_of(self._wheel)
        path = sbom.write_sbom(self._wheel, version, python_of(environment))
        for line in sbom.components(json.loads(path.read_text("utf-8"))):
            say(f"  {line}")

    def _extras(self) -> None:
        extras.require_complete(bounds.extras())
        tests = extras.tests_of(builds.unpacked(self._sdist, self._folder / "tests"))
        failures: list[str] = []
        for extra in self._options.extra or extras.PARTS:
            for versions in self._options.versions or extras.Versions:
                try:
                    say(f"  {extra}, {versions}: {self._extra(extra, versions, tests)}")
                except CheckFailed as error:
                    failures.append(f"{extra}, {versions}")
                    say(f"  FAILED {extra}, {versions}: {error}")
        if failures:
            raise CheckFailed("; ".join(failures))

    def _extra(self, extra: str, versions: extras.Versions, tests: Path) -> str:
        environment = self._folder / f"{extra}-{versions}"
        python = extras.install(self._wheel, extra, versions, environment)
        packages = extras.installed(python)
        extras.smoke_test(extra, python)
        outcome = extras.run_part(extra, versions, python, tests)
        shutil.rmtree(environment)
        return f"{' '.join(packages)}; smoke test ok; {outcome}"


def say(line: str) -> None:
    """Print a line at once, for those who wait."""
    print(line, flush=True)


def check(options: argparse.Namespace) -> int:
    """Run the checks. Returns the exit status."""
    with tempfile.TemporaryDirectory(prefix="release-") as folder:
        run(program("uv"), "--version")
        return Check(Path(folder), options).run()


def lowest(_: argparse.Namespace) -> int:
    """Write the constraints of the lowest versions. Returns the exit status."""
    bounds.LOWEST.write_text(bounds.constraints(bounds.project()), "utf-8")
    say(f"{bounds.LOWEST.relative_to(ROOT)} is written")
    return 0


def pins(_: argparse.Namespace) -> int:
    """Write the exact versions of what publishes. Returns the exit status."""
    write_pins()
    say(f"{PUBLISH.relative_to(ROOT)} is written")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m release", description="Check a release.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    checking = commands.add_parser("check", help="build, check, and leave the release in dist/")
    checking.add_argument("--only", choices=STEPS, help="one step, beside the builds")
    checking.add_argument("--extra", action="append", choices=extras.PARTS, help="again for more")
    checking.add_argument("--versions", action="append", type=extras.Versions)
    checking.add_argument("--tag", help="the tag of the release: version and changelog must fit")
    checking.set_defaults(run=check)
    writing = commands.add_parser("lowest", help="write release/lowest.txt from pyproject.toml")
    writing.set_defaults(run=lowest)
    pinning = commands.add_parser("pins", help="write release/publish.txt from an index")
    pinning.set_defaults(run=pins)
    options = parser.parse_args(arguments)
    try:
        status: int = options.run(options)
    except CheckFailed as error:
        say(f"FAILED: {error}")
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
