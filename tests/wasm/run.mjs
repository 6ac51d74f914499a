// Runs the decode tests under WebAssembly: CPython in Node, by npm's pyodide. `make test-wasm` calls this.
//
//     node run.mjs [pytest arguments]
//
// The repository is mounted, not copied, so the tests see the same sources, data and pyproject.toml as everywhere else.
// Python packages come from wheels/ beside this file, unpacked into pyodide's site-packages: nothing is fetched here.
// The exit code is pytest's.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

// The decode tests: they import only sansio_moondream and what wheels/ holds. Tests that need a process, a socket, a thread or
// Pillow have no place here: there is none of these under WebAssembly.
const DECODE_TESTS =
  /^test_(records|stream|traces|properties|machine|inflate|limits|api_errors|encode|events|chat)(_\w+)?\.py$/;

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "..", "..");
const wheelsDir = join(here, "wheels");

function decodeTests() {
  const names = readdirSync(join(root, "tests", "core")).filter((name) => DECODE_TESTS.test(name));
  return ["tests/wasm/probe.py", ...names.sort().map((name) => `tests/core/${name}`)];
}

async function main(given) {
  if (!existsSync(join(here, "node_modules", "pyodide")) || !existsSync(wheelsDir)) {
    console.error("pyodide or the wheels are missing: needs `make ci-tools`");
    return 2;
  }
  const { loadPyodide } = await import("pyodide");
  const pyodide = await loadPyodide({ env: { PYTHONDONTWRITEBYTECODE: "1" } }); // nothing is written into the repository

  const sitePackages = pyodide.runPython("import site; site.getsitepackages()[0]");
  for (const name of readdirSync(wheelsDir).filter((name) => name.endsWith(".whl")).sort()) {
    // A plain Uint8Array: pyodide does not know Node's Buffer.
    const wheel = new Uint8Array(readFileSync(join(wheelsDir, name)));
    pyodide.unpackArchive(wheel, "wheel", { extractDir: sitePackages });
  }
  pyodide.mountNodeFS("/repo", root);

  // No thread can start there, so nothing can watch for a test that hangs.
  const options = ["-q", "-rs", "-p", "no:cacheprovider", "-o", "faulthandler_timeout=0"];
  const args = given.length > 0 ? given : decodeTests();
  pyodide.globals.set("args", pyodide.toPy([...options, ...args]));
  return await pyodide.runPythonAsync(`
import os, sys

os.chdir("/repo")
sys.path.insert(0, "/repo")
import pytest

int(pytest.main(args))
`);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  // Not thrown on: Node would print the line it came from, and pyodide is one line of a megabyte.
  console.error(error?.stack ?? error);
  process.exitCode = 2;
}
