"""A data directory on a network share is warned of, before the services start and by the doctor."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from app import services, share_check
from app.checks import Verdict
from app.commands.services import up
from app.services.lifecycle import UpResult
from app.share_check import check_data_place, share_of
from tasks.settings import Settings

LOCAL = "1 0 8:1 / / rw - ext4 /dev/sda rw\n"


def _mounts(folder: Path, kind: str) -> Path:
    """A table of mounts in which `folder` is one of this kind."""
    table = folder.parent / "mountinfo"
    table.write_text(f"{LOCAL}2 1 0:5 / {folder.resolve()} rw shared:1 - {kind} server:/homes rw\n")
    return table


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_a_share_is_named_with_its_kind_and_a_way_out(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data_dir=tmp_path / "homes" / "shoebox")
    monkeypatch.setattr(share_check, "MOUNTS", _mounts(tmp_path / "homes", kind))
    check = check_data_place(settings)
    assert check.verdict is Verdict.WARN
    assert kind in check.found
    assert str(settings.data_dir) in check.found
    assert "SHOEBOX_DATA_DIR" in check.remedy


def test_a_disk_of_this_machine_is_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(share_check, "MOUNTS", _mounts(tmp_path / "elsewhere", "nfs4"))
    assert check_data_place(Settings(data_dir=tmp_path / "data")).verdict is Verdict.OK


def test_a_system_that_does_not_tell_is_not_accused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(share_check, "MOUNTS", tmp_path / "none")
    check = check_data_place(Settings(data_dir=tmp_path / "data"))
    assert (check.verdict, check.found) == (
        Verdict.OK,
        "this system does not tell whether it is a network share",
    )
    assert share_of(Settings(data_dir=tmp_path / "data")) == ""


def test_up_warns_and_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(share_check, "MOUNTS", _mounts(tmp_path / "homes", "nfs"))
    monkeypatch.setattr(services, "up", lambda _: UpResult(False, ("home",), "9.1.2"))
    monkeypatch.setenv("SHOEBOX_DATA_DIR", str(tmp_path / "homes" / "shoebox"))
    result = CliRunner().invoke(up)
    assert result.exit_code == 0
    assert result.stdout == "Up: home (Redis 9.1.2).\n"
    assert "network share" in result.stderr
