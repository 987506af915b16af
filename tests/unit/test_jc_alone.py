"""The image takes jc's one parser without what jc needs for its command line: that must be enough."""

from __future__ import annotations

import subprocess
import sys


def test_the_parser_imports_nothing_that_the_image_leaves_out() -> None:
    program = (
        "import sys\n"
        "for name in ('pygments', 'ruamel', 'ruamel.yaml', 'xmltodict'):\n"
        "    sys.modules[name] = None\n"
        "import jc.parsers.dmidecode\n"
        "others = [name for name in sys.modules if name.startswith('jc.parsers.')]\n"
        "assert others == ['jc.parsers.dmidecode'], others\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
