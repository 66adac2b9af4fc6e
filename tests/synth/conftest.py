import pytest

from apu.synth import load_scenes, write_demo


@pytest.fixture(scope="session")
def scenes():
    return load_scenes()


@pytest.fixture(scope="session")
def demo(body, tmp_path_factory):
    """The whole demo's files."""
    folder = tmp_path_factory.mktemp("demo")
    write_demo(folder, body=body)
    return folder
