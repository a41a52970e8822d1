"""door-agent bundle: the one file that an installer carries to doors without a network."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from agent.cli.common import add_command, print_json
from agent.command_line import count


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Options."""
    parser = add_command(subparsers, "bundle", "Make the file that installs a door without a network.", config=False)
    parser.add_argument("--for", dest="target", required=True, metavar="MACHINE-PYTHON", help="aarch64-cp313, …-cp311")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="default: bundle-MACHINE-PYTHON.tar beside the site file"
    )
    parser.add_argument("--site", type=Path, metavar="FILE", help="site.toml: sign with this site's release key")
    parser.add_argument("--key", type=Path, metavar="FILE", help="sign with this Ed25519 key instead")
    parser.add_argument(
        "--weights", type=Path, metavar="FOLDER", help="face networks to carry; default: those on this machine"
    )
    parser.add_argument(
        "--wheel", action="append", type=Path, default=[], metavar="FILE", help="one more wheel (lgpio)"
    )
    parser.add_argument("--serial", type=count, help="number in the order of releases; default: the time")


def run(arguments: argparse.Namespace) -> int:
    """0 made; 1 it cannot be made, the message says why; 3 the site file is wrong."""
    from deploy import bundle
    from deploy.provision.sitefile import load

    target = bundle.Target.parse(arguments.target)
    folder, key = Path(), arguments.key
    if arguments.site:
        folder = arguments.site.parent
        key = key or folder / load(arguments.site).site.authority / "release.sign.key"
    signed = "" if key else "; NOT SIGNED: a provisioned door refuses it"
    out = arguments.out or folder / f"bundle-{target}.tar"
    tempfile.TemporaryFile(dir=out.parent).close()  # where nothing can be written is said before minutes of downloads
    extra = {"weights": arguments.weights, "wheels": arguments.wheel, "key": key, "serial": arguments.serial}
    name = bundle.make(target, out, **extra, say=lambda words: print(words, file=sys.stderr))
    if arguments.json:
        facts = {"file": str(out), "release": name, "for": str(target), "bytes": out.stat().st_size}
        print_json({**facts, "signed": key is not None})
    else:
        print(f"{out}: release {name} for {target}, {out.stat().st_size >> 20} MiB{signed}")
    return 0
