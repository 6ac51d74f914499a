"""The modules of the page, joined to one script."""

from __future__ import annotations

import re

import pytest

from moondream_tools._inspect._compact import compact_script
from moondream_tools._inspect._files import page_files, source
from moondream_tools._inspect._modules import joined, require_inline
from tests.devtools import Chromium

_ODD = {
    "main.js": """\
/** @typedef {import('./values.js').Value} Value  an import in a comment is none */
import { one, two as $two, Thing } from './values.js';
import {later} from "./deep-er.js"
import './effect.js';

const own = 'import { x } from "./none.js"; // not at the beginning';
/* a comment that has
 * export function nothing() {}
 */
export const total = async () => [
  one, await $two(), new Thing().three, later(), effects, own.length];
globalThis.total = total;
""",
    "values.js": """\
const hidden = 1;
export const one = hidden, unused = '$&';
export async function two() { return `2${'$1'}`; }
export class Thing { three = /[/*]3/.source; }
export function* gen$1() { yield 1; }
""",
    "deep-er.js": """\
import { one as hidden } from './values.js';
const own = hidden + 3;
export function later() { return own; }
""",
    "effect.js": "globalThis.effects = (globalThis.effects ?? 0) + 1;\n",
}


@pytest.mark.slow
def test_what_a_joined_script_does(browser: Chromium) -> None:
    """Names stay in their module, and a module runs once, after those that it imports."""
    script = joined(["effect.js", "main.js", "effect.js"], _ODD.__getitem__)
    for code in (script, compact_script(script)):
        page = browser.open("about:blank")
        page.evaluate(f"'use strict'; {code}")
        assert page.evaluate("total()") == [1, "2$1", "[/*]3", 4, 1, 54]
        assert page.evaluate("typeof hidden + typeof own + typeof Thing") == "undefined" * 3
        page.close()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("export default 1;", "main.js has 'export default 1;', which cannot be joined"),
        ("export { a };", "export { a };"),
        ("export let a = 1;", "export let a = 1;"),
        ("export * from './x.js';", "export * from"),
        ("import * as x from './values.js';", "import * as x"),
        ("import x from './values.js';", "import x from"),
        ("import { x } from 'https://example.com/x.js';", "https://example.com/x.js"),
        ("import { x } from './values.js'; x();", "import { x } from './values.js'; x();"),
        ("const x = await import('./values.js');", "import('./values.js')"),
        ("const here = import.meta.url;", "import.meta"),
        ("import './main.js';", "modules import each other: main.js → main.js"),
    ],
)
def test_what_cannot_be_joined(code: str, words: str) -> None:
    modules = {**_ODD, "main.js": code}
    with pytest.raises(ValueError, match=re.escape(words)):
        joined(["main.js"], modules.__getitem__)


def test_the_page_can_be_joined() -> None:
    """Each module is in the script once, and no file would end inside a page."""
    modules = sorted(name for name in page_files() if name.endswith(".js"))
    script = joined(modules, source)
    for name in modules:
        constant = f"const ${re.sub(r'[^a-z]', '_', name.removesuffix('.js'))} ="
        assert script.count(constant) == 1, name
    assert not re.search(r"^(import|export)\b", script, re.MULTILINE)


@pytest.mark.parametrize("code", ["a = '</script>';", "a <!--b", "x</STYLE"])
def test_what_would_end_inside_a_page(code: str) -> None:
    with pytest.raises(ValueError, match="a file has '.+', which would end it inside a page"):
        require_inline("a file", code)


def test_a_compact_script() -> None:
    """Comments and white space go, but not in texts, and not where tokens would become others."""
    code = """\
/** A comment. */
export function f( a,  b ) { // another
  const text = 'a  // b' + "/* \\" c */" + `x ${ a  +  `y  ${ {  b }.b }` }  /* z */`;
  return a + +b - -a
    / 2 / b
}

const odd = [1 / 2, /[/"]\\/'/g.test(x), a in b, typeof /  x/, (1) / 2, y++ + 1];
class C { static #x = 1; async *m() { yield /y/; }
  get x() { return C.#x }
}
label: for (const each of [1]) { continue label
}
const é = 1; é in x
"""
    assert compact_script(code) == (
        'export function f(a,b){const text=\'a  // b\'+"/* \\" c */"+'
        "`x ${a+`y  ${{b}.b}`}  /* z */`;return a+ +b- -a\n/ 2 / b\n}\n"
        "const odd=[1 / 2, /[/\"]\\/'/g.test(x),a in b,typeof /  x/,(1) / 2,y++ +1];"
        "class C{static #x=1;async*m(){yield /y/;}\nget x(){return C.#x}\n}\n"
        "label:for(const each of[1]){continue label\n}\nconst é =1; é in x\n"
    )
