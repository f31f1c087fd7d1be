#!/usr/bin/env python3
"""Runs every command of the guides, as they stand, with `sh` against a running platform.

    python3 .ci/guides.py --binary target/debug/comanda [--print]

starts `comanda dev` and gives each guide's ```sh blocks, one after the other, to one shell that ends at the first command that fails. An
answer from 400 on fails as well. Only what names a machine's ports is put in their place: the line that starts `comanda dev`, and the
addresses of the API and of the local AWS. Needs curl and jq.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from running_platform import Platform

DOCS = pathlib.Path(__file__).resolve().parent.parent / "docs"
GUIDES = ("POS_GUIDE.md", "SHIPPING.md")
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
START = re.compile(r"^comanda dev\b.*$", re.MULTILINE)
API, AWS = "http://127.0.0.1:8080", "http://127.0.0.1:4566"
# Of one guide.
TIME_LIMIT_S = 120
# What curl -i and the guides' own -w print of an answer that was refused.
REFUSED = re.compile(r"^(?:HTTP/[\d.]+ |\w+ )([45]\d\d)\b", re.MULTILINE)


def script(guide):
    """The guide's commands as they stand, without the one that starts what runs already."""
    blocks = BLOCK.findall((DOCS / guide).read_text())
    if not blocks:
        raise SystemExit(f"{guide} has no commands")
    return START.sub("", "\n".join(blocks))


def run(platform, guide):
    """What was wrong; empty when nothing was."""
    text = script(guide)
    for published, actual in ((API, f"http://{platform.ready['http']}"), (AWS, f"http://{platform.ready['aws']}")):
        text = text.replace(published, actual)
    with tempfile.TemporaryDirectory() as folder:
        commands = os.path.join(folder, "bin")
        os.mkdir(commands)
        os.symlink(platform.binary, os.path.join(commands, "comanda"))
        environment = dict(platform.environment, PATH=f"{commands}{os.pathsep}{os.environ['PATH']}")
        pathlib.Path(folder, "guide.sh").write_text(text)
        try:
            done = subprocess.run(
                ["sh", "-eu", "guide.sh"],
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=TIME_LIMIT_S,
            )
        except subprocess.TimeoutExpired as late:
            return f"not done after {TIME_LIMIT_S} s:\n{(late.output or b'').decode(errors='replace')}"
    refused = REFUSED.search(done.stdout)
    if done.returncode != 0:
        return f"ended with {done.returncode}:\n{done.stdout}"
    return f"an answer was {refused.group(1)}:\n{done.stdout}" if refused else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/debug/comanda")
    parser.add_argument("--print", action="store_true", help="print the commands and run nothing")
    arguments = parser.parse_args()
    if arguments.print:
        print("\n".join(script(guide) for guide in GUIDES))
        return
    failed = False
    for guide in GUIDES:
        platform = Platform(arguments.binary)
        try:
            wrong = run(platform, guide)
        finally:
            platform.stop()
        print(f"{guide}: {wrong or 'ok'}")
        failed = failed or bool(wrong)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
