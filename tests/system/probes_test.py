"""The standard library behind the walls: each probe ends as tests/sandbox/worker says."""

import pathlib
import shutil

import apps

PROBES = pathlib.Path(__file__).resolve().parents[1] / "sandbox/worker/probes"
FILES = {
    "cloister.toml": '[app]\nname = "hello"\nversion = "1.2.0"\n\n'
    '[entry]\nweb = "hello:application"\n\n'
    # Fills all temporary files, which a machine that is slow at new memory takes seconds for.
    '[[check]]\npath = "/"\ntime = "60s"\n',
    "data/probe_data.txt": "some data\n",
    "package/__init__.py": "",
    "package/inner.py": "VALUE = 'inner value'\ndef function(x):\n    return x + 1\n",
    "package/beside.py": "VALUE = 'added to sys.path'\n",
    "site-packages/spaces/one.py": "VALUE = 'namespace value'\n",
    "site-packages/probe_dist-1.5.dist-info/METADATA": "Metadata-Version: 2.1\n"
    "Name: Probe-Dist\nVersion: 1.5\n",
    "site-packages/probe_dist-1.5.dist-info/entry_points.txt": "[probe]\napp = hello:application\n",
}


def test_each_probe_ends_as_without_walls(node, tmp_path):
    folder = tmp_path / "app"
    shutil.copytree(PROBES, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    apps.open_to_all(folder)
    node.deploy(folder, "demo/hello")
    answer = node.http("demo/hello")
    assert answer.status == 200
    assert answer.body.decode() == ""
